"""HTTP/1.1 as clients really send it, byte for byte, on a server that tells what arrived."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from litestar import Litestar, Request, get, post
from litestar.response import Stream

from hotswap_stream.api.protocol import http_protocol
from hotswap_stream.api.protocol.connections import ConnectionLimits
from tests.support.raw_http import RawAnswer, RawConnection, raw_connection, request
from tests.support.stages.http import served

BODY = b'{"expected_sequence": 999, "padding": "' + b"x" * 4_000 + b'"}'
BIG_CHUNKS = 1_000
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA")


class Arrived(msgspec.Struct):
    """What a request was, for its handler."""

    body_bytes: int
    headers: dict[str, str]
    path: str


@post("/echo", status_code=200)
async def echo(request: Request[Any, Any, Any]) -> Arrived:
    body = await request.body()
    return Arrived(len(body), dict(request.headers), request.url.path)


@post("/deaf", status_code=200)
async def deaf() -> str:
    return "not read"


class Long:
    """Requests that take until they may end."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()


LONG = Long()


class Big:
    """An answer that is larger than what lies between server and client."""

    def __init__(self) -> None:
        self.cut_off = asyncio.Event()

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for _ in range(BIG_CHUNKS):
                yield b"x" * 1_000_000
        finally:
            self.cut_off.set()


BIG = Big()


@get("/long")
async def long() -> str:
    LONG.begun += 1
    await LONG.may_end.wait()
    return "at last"


@get("/big")
async def big() -> Stream:
    return Stream(BIG())


@get("/hello")
async def hello(request: Request[Any, Any, Any]) -> Arrived:
    return Arrived(0, dict(request.headers), request.url.path)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with served(Litestar([echo, deaf, hello], openapi_config=None)) as url:
        yield url


async def asked(url: str, data: bytes) -> RawAnswer | None:
    async with raw_connection(url) as connection:
        await connection.send(data)
        return await connection.answer()


def arrived(answer: RawAnswer | None) -> Arrived:
    assert answer is not None
    assert answer.status == 200, answer
    return msgspec.json.decode(answer.body, type=Arrived)


OFFERS = (
    H2C,
    ("Connection: Upgrade", "Upgrade: h2c"),
    ("connection: upgrade", "upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: abc"),
    ("Upgrade: TLS/1.2, foo/3", "Connection: keep-alive, Upgrade"),
    ("Connection: Upgrade",),
)


async def test_an_offer_to_upgrade_is_declined_and_the_body_read(url: str) -> None:
    """A request that offered `Upgrade: h2c`, as Java's HttpClient does by default, lost its body."""
    for offer in OFFERS:
        await _declined(url, offer)


async def _declined(url: str, offer: tuple[str, ...]) -> None:
    async with raw_connection(url) as connection:
        await connection.send(request("/echo", BODY, *offer, "X-Beside: kept"))
        found = arrived(await connection.answer())
        assert found.body_bytes == len(BODY)
        assert found.headers["x-beside"] == "kept"
        assert not {"upgrade", "http2-settings"} & set(found.headers)
        await connection.send(request("/echo", BODY))
        assert arrived(await connection.answer()).body_bytes == len(BODY)


async def test_an_offer_that_comes_byte_by_byte(url: str) -> None:
    async with raw_connection(url) as connection:
        for byte in request("/echo", b"four", *H2C):
            await connection.send(bytes([byte]))
        assert arrived(await connection.answer()).body_bytes == 4


async def test_an_offer_with_a_chunked_body_or_with_none(url: str) -> None:
    offer = "\r\n".join(H2C)
    chunked = (
        f"POST /echo HTTP/1.1\r\nHost: localhost\r\n{offer}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n"
    )
    async with raw_connection(url) as connection:
        await connection.send(chunked.encode() + request("/hello", b"", *H2C, method="GET"))
        assert arrived(await connection.answer()).body_bytes == 4
        assert arrived(await connection.answer()).path == "/hello"


async def test_an_offer_waits_for_expect_continue(url: str) -> None:
    head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
    for offer in ("", "\r\n".join(H2C) + "\r\n"):
        async with raw_connection(url) as connection:
            await connection.send((head + offer + "\r\n").encode())
            assert (await connection.informed()).startswith(b"HTTP/1.1 100 ")
            await connection.send(b"four")
            assert arrived(await connection.answer()).body_bytes == 4


async def test_offers_in_a_pipeline_are_answered_in_order(url: str) -> None:
    bodies = [b"x" * size for size in (1, 70_000, 0, 3, 12)]
    data = b"".join(request("/echo", body, *(H2C if number % 2 else ())) for number, body in enumerate(bodies))
    async with raw_connection(url) as connection:
        await connection.send(data)
        for body in bodies:
            assert arrived(await connection.answer()).body_bytes == len(body)


async def test_an_offer_may_end_the_connection(url: str) -> None:
    async with raw_connection(url) as connection:
        await connection.send(request("/echo", b"four", "Connection: close, Upgrade", "Upgrade: h2c"))
        assert arrived(await connection.answer()).body_bytes == 4
        await connection.closed()


async def test_trailers_are_no_headers(url: str) -> None:
    """A trailer was added to the headers behind the back of whoever had looked at them."""
    data = (
        b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Api-Key\r\n\r\n"
        b"4\r\nfour\r\n0\r\nX-Api-Key: secret\r\nHost: evil.example\r\n\r\n"
    )
    async with raw_connection(url) as connection:
        await connection.send(data + request("/echo", b"second"))
        for body_bytes in (4, 6):
            found = arrived(await connection.answer())
            assert found.body_bytes == body_bytes
            assert "x-api-key" not in found.headers
            assert found.headers["host"] == "localhost"


TWO_READINGS = (
    "Content-Length: 4\r\nContent-Length: 5",
    "Content-Length: 4\r\nContent-Length: 4",
    "Content-Length: 4, 5",
    "Content-Length: -4",
    "Content-Length: +4",
    "Content-Length: 0x4",
    "Content-Length: 99999999999999999999999",
    "Content-Length: 4\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 4",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding : chunked",
    "Content-Length : 4",
    "X-Folded: a\r\nContent Length: 4",
    "X-Bare: a\nContent-Length: 4",
)


@pytest.mark.parametrize("offer", ["", "\r\n".join(H2C) + "\r\n"])
async def test_a_length_that_two_readers_could_take_differently_is_refused(url: str, offer: str) -> None:
    for length in TWO_READINGS:
        head = f"POST /echo HTTP/1.1\r\nHost: localhost\r\n{offer}{length}\r\n\r\n".encode()
        async with raw_connection(url) as connection:
            await connection.send(head + b"four" + request("/echo", b"smuggled"))
            answer = await connection.answer()
            assert answer is None or answer.status == 400, (length, answer)
            await connection.closed()


NO_HTTP_1 = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    b"GET /hello HTTP/3.1\r\nHost: localhost\r\n\r\n",
    b"GET /h\xc3\xb6 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX-Nul: \x00\r\n\r\n",
)


async def test_what_is_no_request_of_http_1_is_refused(url: str) -> None:
    for data in NO_HTTP_1:
        answer = await asked(url, data)
        assert answer is None or answer.status == 400, data


async def test_a_body_shorter_than_said_reaches_no_handler(url: str) -> None:
    async with raw_connection(url) as connection:
        await connection.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nshort")
        connection.writer.write_eof()
        assert await connection.answer() is None


async def test_what_is_longer_than_said_is_no_part_of_the_body(url: str) -> None:
    data = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nfour and more\r\n\r\n"
    async with raw_connection(url) as connection:
        await connection.send(data)
        assert arrived(await connection.answer()).body_bytes == 4
        assert await connection.answer() is None


async def test_http_1_0_head_and_a_target_with_a_host(url: str) -> None:
    async with raw_connection(url) as connection:
        await connection.send(request("/echo", b"four", version="1.0"))
        assert arrived(await connection.answer()).body_bytes == 4
        await connection.closed()
    absolute = await asked(url, request("http://127.0.0.9:81/hello?x=1", method="GET", host="evil.example"))
    assert arrived(absolute).headers["host"] == "127.0.0.9:81"
    assert arrived(absolute).path == "/hello"
    async with raw_connection(url) as connection:
        await connection.send(request("/hello", method="HEAD"))
        answer = await connection.answer(to_head=True)
        assert answer is not None
        assert answer.status == 200
        await connection.send(request("/hello", method="GET"))
        assert arrived(await connection.answer()).path == "/hello"


async def test_a_deep_pipeline_ends_and_the_next_connection_is_answered(url: str) -> None:
    async with raw_connection(url) as connection:
        await connection.send(request("/hello", method="GET") * (http_protocol.PIPELINED_REQUESTS_MAX + 100))
        await connection.closed()
    assert arrived(await asked(url, request("/echo", b"four"))).body_bytes == 4


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
        async with asyncio.timeout(30):
            await BIG.cut_off.wait()


async def test_the_log_hears_of_it(hasty: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with raw_connection(hasty) as connection:
        await connection.send(b"POST /ec")
        await connection.closed()
    async with asyncio.timeout(30):
        told = ""
        while "connections_cut_off" not in told:
            await asyncio.sleep(0.05)
            told += capsys.readouterr().out
    assert "overdue" in told
