"""Answers leave without delay."""

import asyncio
import socket

from hotswap_stream.api import server


async def test_accepted_connections_send_without_delay() -> None:
    delays: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def on_connection(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        delays.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()
        await writer.wait_closed()

    listener = server.listening_socket("127.0.0.1", 0)
    async with await asyncio.start_server(on_connection, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        assert await delays
        writer.close()
        await writer.wait_closed()
