"""The bytes of an upload as they come, within limits of time; and whether the client is still there afterwards."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

from litestar import Request
from litestar.types import Receive

from hotswap_stream.api.protocol.connections import ConnectionLimits
from hotswap_stream.api.protocol.problems import ProblemError

SILENT_SECONDS_MAX = 20.0
"""Nothing comes for this long: the upload ends, so that another connection may go on with it."""

_Result = TypeVar("_Result")


def announced_bytes(request: Request[Any, Any, Any]) -> int | None:
    """Return how many bytes the body will have; None where it comes in chunks."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


async def pieces_of(
    receive: Receive, *, silent_seconds_max: float = SILENT_SECONDS_MAX, limits: ConnectionLimits | None = None
) -> AsyncIterator[bytes]:
    """Return the body piece by piece, each as large as it happens to come.

    Args:
        receive: ASGI's, with the body still in it.
        silent_seconds_max: How long nothing may come.
        limits: Of the server, for the time of the whole body.

    Raises:
        ProblemError: 408 when it comes too slowly; 400 when the connection ends before it does.
    """
    allowed = limits or ConnectionLimits()
    loop, received = asyncio.get_running_loop(), 0
    began = loop.time()
    more = True
    while more:
        left = began + allowed.body_seconds(received) - loop.time()
        try:
            async with asyncio.timeout(min(silent_seconds_max, left)):
                message: Any = await receive()
        except TimeoutError:
            raise _too_slow(received, silent_seconds_max, allowed) from None
        if message["type"] == "http.disconnect":
            raise ProblemError(400, "request-unreadable", "the connection ended before the body")
        more = message.get("more_body", False)
        if piece := message.get("body", b""):
            received += len(piece)
            yield piece


async def while_there(receive: Receive, work: Awaitable[_Result]) -> _Result:
    """Do the work as long as the client waits for it; nobody else would learn what came of it.

    Args:
        receive: ASGI's, after the body.
        work: What to do.

    Raises:
        ProblemError: The client went away, and the work was cancelled.
    """
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.wait({working, gone})
    raise ProblemError(400, "request-unreadable", "the connection ended before the answer")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_slow(received: int, silent_seconds_max: float, limits: ConnectionLimits) -> ProblemError:
    return ProblemError(
        408,
        "body-too-slow",
        f"the body came too slowly: {received} bytes are here; some must come every {silent_seconds_max:g} s, and all "
        f"within {limits.body_seconds_max:g} s and another for every {limits.body_bytes_per_second_min} bytes",
        headers={"Retry-After": "1", "Connection": "close"},
    )
