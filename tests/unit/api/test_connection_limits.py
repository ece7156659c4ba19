"""What a connection may take of the server's time and room, byte for byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from litestar import Litestar

from hotswap_stream.api.protocol import http_protocol
from hotswap_stream.api.protocol.connections import ConnectionLimits
from tests.support.raw_http import RawConnection, raw_connection, request
from tests.support.stages.http import served
from tests.support.stages.raw_server import (
    BIG,
    BODY,
    LONG,
    arrived,
    asked,
    big,
    deaf,
    echo,
    hello,
    long,
)

HASTE = ConnectionLimits(
    connections_max=6,
    connections_per_address_max=4,
    head_seconds_max=0.2,
    body_seconds_max=0.2,
    send_seconds_max=0.2,
)
PATIENCE = ConnectionLimits(connections_max=6, connections_per_address_max=4)


async def test_a_body_of_which_much_has_come_has_more_time() -> None:
    limits = ConnectionLimits(body_seconds_max=0.1, body_bytes_per_second_min=1)
    async with served(Litestar([echo], openapi_config=None), limits=limits) as url, raw_connection(url) as connection:
        data = request("/echo", BODY)
        await connection.send(data[:-10])
        await asyncio.sleep(1.5)  # looked for twice a second
        await connection.send(data[-10:])
        assert arrived(await connection.answer()).body_bytes == len(BODY)


@pytest.fixture
async def hasty() -> AsyncIterator[str]:
    async with served(Litestar([echo, deaf, hello, big], openapi_config=None), limits=HASTE) as url:
        yield url


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", None),
        (b"\r\n", 408),
        (b"POST /echo HT", 408),
        (b"POST /echo HTTP/1.1\r\nHost: localhost\r\n", 408),
        (b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n", 408),
        (b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nfour", 408),
        (b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n", 408),
    ],
)
async def test_what_is_half_open_is_ended(hasty: str, data: bytes, status: int | None) -> None:
    """300 connections with half a head were held for as long as anybody looked."""
    async with raw_connection(hasty) as connection:
        await connection.send(data)
        answer = await connection.answer()
        assert (None if answer is None else answer.status) == status
        await connection.closed()


async def test_the_second_request_of_a_connection_has_a_time_as_well(hasty: str) -> None:
    async with raw_connection(hasty) as connection:
        await connection.send(request("/echo", b"four") + b"POST /ec")
        assert arrived(await connection.answer()).body_bytes == 4
        answer = await connection.answer()
        assert answer is None or answer.status == 408
        await connection.closed()


async def test_the_body_of_a_request_that_was_answered_is_not_taken_for_ever(
    hasty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_BODY_SECONDS_MAX", 0.2)
    async with raw_connection(hasty) as connection:
        await connection.send(b"POST /deaf HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\nfour")
        answer = await connection.answer()
        assert answer is not None
        assert answer.status == 200
        await connection.closed()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\n",
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nfour",
    ],
)
async def test_those_that_keep_the_server_waiting_make_room(sent: bytes) -> None:
    """Connections that sent nothing, or half of something, kept everybody else out."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(Litestar([echo], openapi_config=None), limits=PATIENCE))
        held: list[RawConnection] = []
        for _ in range(PATIENCE.connections_per_address_max + 3):
            held.append(await stack.enter_async_context(raw_connection(url)))
            await held[-1].send(sent)
        for _ in range(3):
            assert arrived(await asked(url, request("/echo", b"four"))).body_bytes == 4
        for connection in held[:3]:
            await connection.closed()


async def test_those_at_work_do_not_make_room() -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(Litestar([long], openapi_config=None), limits=PATIENCE))
        working = []
        for _ in range(PATIENCE.connections_per_address_max):
            working.append(await stack.enter_async_context(raw_connection(url)))
            await working[-1].send(request("/long", method="GET"))
        while LONG.begun < len(working):
            await asyncio.sleep(0.01)
        refused = await asked(url, request("/long", method="GET"))
        assert refused is not None
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        LONG.may_end.set()
        for connection in working:
            answer = await connection.answer()
            assert answer is not None
            assert answer.status == 200


async def test_who_takes_nothing_of_an_answer_is_cut_off(hasty: str) -> None:
    async with raw_connection(hasty) as connection:
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(request("/big", method="GET"))
        async with asyncio.timeout(60):
            await BIG.cut_off.wait()


async def test_the_log_hears_of_it(hasty: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with raw_connection(hasty) as connection:
        await connection.send(b"POST /ec")
        await connection.closed()
    async with asyncio.timeout(60):
        told = ""
        while "connections_cut_off" not in told:
            await asyncio.sleep(0.05)
            told += capsys.readouterr().out
    assert "overdue" in told
