"""A connection that breaks: what lies between a client and a server, and cuts off after some bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

PIECE_BYTES = 65_536


class CuttingProxy:
    """Passes bytes on; each entry of `cut_after` is the bytes from a client after which one more connection is cut."""

    def __init__(self, target: str, cut_after: list[int]) -> None:
        self.url = ""
        self.cut = 0
        self._target = urlsplit(target)
        self._cut_after = cut_after

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection(self._target.hostname, self._target.port)
        back = asyncio.create_task(_pass_on(there, writer))
        try:
            passed = 0
            while piece := await reader.read(PIECE_BYTES):
                passed += len(piece)
                if self._cut_after and passed > self._cut_after[0]:
                    del self._cut_after[0]
                    self.cut += 1
                    return
                onward.write(piece)
                await onward.drain()
        except ConnectionError:
            pass
        finally:
            back.cancel()
            for each in (writer, onward):
                each.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()


@asynccontextmanager
async def cutting_proxy(target: str, cut_after: list[int]) -> AsyncIterator[CuttingProxy]:
    """Listens on loopback in front of the server at `target`."""
    proxy = CuttingProxy(target, cut_after)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    proxy.url = f"http://{host}:{port}"
    try:
        yield proxy
    finally:
        server.close()
