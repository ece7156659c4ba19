"""HTTP by hand: exactly these bytes are sent, and every answer that comes back is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from msgspec import Struct

DEADLINE_SECONDS = 60.0


class RawAnswer(Struct, frozen=True):
    """One answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawConnection:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def answer(self, *, to_head: bool = False) -> RawAnswer | None:
        """The next final answer; None when the server closed the connection instead."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    head = await self.reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, ConnectionError):
                    return None
                first, *lines = head.decode("latin-1").split("\r\n")
                status = int(first.split()[1])
                if status >= 200:
                    break
            pairs = (line.partition(":") for line in lines if line)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            if to_head:
                return RawAnswer(status, headers, b"")
            if "content-length" in headers:
                return RawAnswer(status, headers, await self.reader.readexactly(int(headers["content-length"])))
            body = b""
            while headers.get("transfer-encoding") == "chunked":
                size = int((await self.reader.readline()).strip(), 16)
                body += (await self.reader.readexactly(size + 2))[:-2]
                if size == 0:
                    break
            return RawAnswer(status, headers, body)

    async def informed(self) -> bytes:
        """The head of the next answer as it came, an interim one too."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def closed(self) -> None:
        """Read until the server has closed the connection."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            with suppress(ConnectionError):
                while await self.reader.read(65_536):
                    pass


@asynccontextmanager
async def raw_connection(url: str) -> AsyncIterator[RawConnection]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield RawConnection(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def request(
    path: str, body: bytes = b"", *headers: str, method: str = "POST", host: str = "localhost", version: str = "1.1"
) -> bytes:
    """One request, with its length."""
    lines = [f"{method} {path} HTTP/{version}", f"Host: {host}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
