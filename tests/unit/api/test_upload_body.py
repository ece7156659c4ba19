"""The body of an upload: piece by piece, not too slowly, and for somebody who waits for the answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hotswap_stream.api.artifacts.body import pieces_of, while_there
from hotswap_stream.api.protocol.connections import ConnectionLimits
from hotswap_stream.api.protocol.problems import ProblemError

GONE = {"type": "http.disconnect"}


class Coming:
    """ASGI's `receive` of a client that sends these messages, and nothing after them."""

    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        self._messages = list(messages)

    async def __call__(self) -> Any:
        if self._messages:
            return self._messages.pop(0)
        return await asyncio.Future()


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def arrived(*messages: dict[str, Any], **options: Any) -> list[bytes]:
    return [piece async for piece in pieces_of(Coming(messages), **options)]


async def test_pieces_come_as_they_are_sent() -> None:
    assert await arrived(part(b"one"), part(b""), part(b"two"), part(b"", more=False)) == [b"one", b"two"]
    assert await arrived({"type": "http.request"}) == []


async def test_a_connection_that_ends_is_no_end_of_the_body() -> None:
    with pytest.raises(ProblemError, match="ended before") as caught:
        await arrived(part(b"one"), GONE)
    assert caught.value.status == 400


async def test_who_sends_nothing_more_is_not_waited_for() -> None:
    with pytest.raises(ProblemError, match="3 bytes are here") as caught:
        await arrived(part(b"one"), silent_seconds_max=0.01)
    assert (caught.value.status, caught.value.code) == (408, "body-too-slow")


async def test_a_body_has_an_end_in_time_too() -> None:
    limits = ConnectionLimits(body_seconds_max=0.01)
    with pytest.raises(ProblemError) as caught:
        await arrived(part(b"one"), limits=limits)
    assert caught.value.status == 408


def test_a_large_body_has_more_time() -> None:
    limits = ConnectionLimits(body_seconds_max=60, body_bytes_per_second_min=1_000)
    assert [limits.body_seconds(received) for received in (0, 500, 60_000)] == [60, 60.5, 120]


async def test_the_work_of_nobody_is_cancelled() -> None:
    ended = asyncio.Event()

    async def long() -> None:
        try:
            await asyncio.Future()
        finally:
            ended.set()

    with pytest.raises(ProblemError, match="before the answer"):
        await while_there(Coming([part(b"", more=False), GONE]), long())
    assert ended.is_set()


async def test_the_work_of_somebody_is_done() -> None:
    async def quick() -> int:
        return 7

    async def wrong() -> int:
        raise ValueError("as it was raised")

    assert await while_there(Coming([]), quick()) == 7
    with pytest.raises(ValueError, match="as it was"):
        await while_there(Coming([]), wrong())


async def test_work_that_is_cancelled_is_over_when_the_call_is() -> None:
    ended = asyncio.Event()

    async def long() -> None:
        try:
            await asyncio.Future()
        finally:
            ended.set()

    task = asyncio.create_task(while_there(Coming([]), long()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
