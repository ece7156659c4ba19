"""Just enough of HTTP/1.1 to put load on a server: prepared requests, answers with a length, connections kept.

A whole client would take several times longer for a request than the server does, and would be what is measured.
"""

import asyncio
import ssl
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from hotswap_stream.client.errors import LoadError

HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 64 * 1_048_576


class HttpAnswer(Struct, frozen=True, gc=False):
    """An answer; header names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Server(Struct, frozen=True, kw_only=True):
    """Where to connect to."""

    host: str
    port: int
    secure: bool
    base_path: str

    @property
    def host_header(self) -> str:
        """Return the value of each request's Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def server_of(url: str) -> Server:
    """Return the server of an http or https URL. LoadError if it is none."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
        raise LoadError(f"{url!r} is not a URL such as http://127.0.0.1:8000")
    secure = parts.scheme == "https"
    return Server(
        host=parts.hostname, port=port or (443 if secure else 80), secure=secure, base_path=parts.path.rstrip("/")
    )


def post_head(server: Server, path: str, headers: dict[str, str], body_bytes: int) -> bytes:
    """Return a request without its body."""
    lines = [
        f"POST {server.base_path}{path} HTTP/1.1",
        f"host: {server.host_header}",
        f"content-length: {body_bytes}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._received = bytearray()
        self._head: tuple[int, dict[bytes, bytes], int, int] | None = None
        """Status, headers, where the body begins, where it ends."""

    @property
    def usable(self) -> bool:
        """Return whether another request may be sent."""
        return self._transport is not None and not self._transport.is_closing() and self._answer is None

    def ask(self, request: bytes) -> "asyncio.Future[HttpAnswer]":
        """Send a request, and return the answer's future.

        Whoever cancels it must `close`, because the answer still comes.
        """
        if self._transport is None or not self.usable:
            raise ConnectionError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; asyncio calls it."""
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101  # a stream's is
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse what came so far; asyncio calls it."""
        self._received += data
        try:
            self._parse()
        except ConnectionError as error:
            self._fail(error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that waits, if one does; asyncio calls it."""
        self._fail(exc or ConnectionResetError("the server closed the connection"))
        self._transport = None

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def _parse(self) -> None:
        if self._head is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                if len(self._received) > HEAD_BYTES_MAX:
                    raise ConnectionError(f"the answer's head has more than {HEAD_BYTES_MAX} bytes")
                return
            self._head = _parse_head(bytes(self._received[:end]), end + 4)
        status, headers, begin, end = self._head
        if len(self._received) < end:
            return
        body = bytes(self._received[begin:end])
        self._head = None
        self._received.clear()
        answer, self._answer = self._answer, None
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        if answer is not None and not answer.done():
            answer.set_result(HttpAnswer(status, headers, body))


def _parse_head(head: bytes, begin: int) -> tuple[int, dict[bytes, bytes], int, int]:
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ConnectionError(f"not an HTTP/1 answer: {first[:100]!r}")
    headers = {}
    for line in lines:
        name, _, value = line.partition(b":")
        headers[name.strip().lower()] = value.strip()
    length = headers.get(b"content-length", b"0" if b"transfer-encoding" not in headers else b"")
    if not length.isdigit() or int(length) > BODY_BYTES_MAX:
        raise ConnectionError(f"an answer with a content-length of at most {BODY_BYTES_MAX} bytes is needed")
    return int(words[1]), headers, begin, begin + int(length)


class HttpConnections:
    """Connections to one server; at most as many as requests in flight."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._idle: list[HttpConnection] = []
        self._context = ssl.create_default_context() if server.secure else None

    async def ask(self, request: bytes) -> HttpAnswer:
        """Send a request over an idle connection or a new one, and return the answer. OSError when that fails."""
        connection = None
        while self._idle and connection is None:
            idle = self._idle.pop()
            connection = idle if idle.usable else None
        if connection is None:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(
                HttpConnection, self.server.host, self.server.port, ssl=self._context
            )
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Drop all idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


def header_text(headers: dict[bytes, bytes], name: str) -> str | None:
    """Return one header's value."""
    value: Any = headers.get(name.lower().encode())
    return None if value is None else value.decode("latin-1")
