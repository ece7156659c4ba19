"""HTTP/1.1 as clients really send it, byte for byte."""

from collections.abc import AsyncIterator

import pytest
from litestar import Litestar

from hotswap_stream.api.protocol import http_protocol
from tests.support.raw_http import raw_connection, request
from tests.support.stages.http import served
from tests.support.stages.raw_server import BODY, arrived, asked, deaf, echo, hello

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with served(Litestar([echo, deaf, hello], openapi_config=None)) as url:
        yield url


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
