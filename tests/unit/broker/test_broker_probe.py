"""Reading a broker's answer, and not being fooled by what is no broker."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from hotswap_stream.broker.broker_probe import (
    ClusterSeen,
    ask_cluster,
    ask_for_coordinator,
    parse_cluster,
    unregister_broker,
)
from hotswap_stream.broker.ports import HOST, pick_free_ports


def string(text: str | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def cluster_answer(cluster_id: str | None, broker_ids: list[int], correlation_id: int = 1) -> bytes:
    brokers = b"".join(
        struct.pack(">i", node) + string(HOST) + struct.pack(">i", 9092) + string(None) for node in broker_ids
    )
    return struct.pack(">iii", correlation_id, 0, len(broker_ids)) + brokers + string(cluster_id) + bytes(8)


def test_an_answer_tells_the_cluster_and_its_live_brokers() -> None:
    seen = parse_cluster(cluster_answer("abc", [1, 3]))
    assert seen == ClusterSeen(cluster_id="abc", broker_ids=frozenset({1, 3}))


def test_an_answer_to_another_request_is_none() -> None:
    assert parse_cluster(cluster_answer("abc", [1], correlation_id=7)) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        struct.pack(">i", 8) + struct.pack(">ii", 1, 0),
        struct.pack(">i", 40) + struct.pack(">iii", 1, 0, 1_000_000) + bytes(28),
        struct.pack(">i", -1),
        b"",
    ],
)
async def test_what_is_no_broker_is_not_taken_for_one(answer: bytes) -> None:
    async with answering(answer) as port:
        assert await ask_cluster(port, 2.0) is None
        assert not await ask_for_coordinator(port, 2.0)
        assert not await unregister_broker(port, 1, 2.0)


@pytest.mark.parametrize(
    ("error_code", "gone"), [(0, True), (102, True), (41, False)], ids=["done", "not-registered", "not-the-controller"]
)
async def test_only_the_active_controller_says_that_a_broker_is_registered_no_more(error_code: int, gone: bool) -> None:
    body = struct.pack(">ibih", 1, 0, 0, error_code) + b"\0\0"
    async with answering(struct.pack(">i", len(body)) + body) as port:
        assert await unregister_broker(port, 2, 10.0) is gone


async def test_a_closed_port_and_a_silent_server_answer_nothing() -> None:
    assert await ask_cluster(pick_free_ports(1)[0], 1.0) is None
    async with answering(None) as port:
        assert await ask_cluster(port, 0.05) is None


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[int]:
    """A port that answers every connection's first byte, or (None) never; all connections are closed at the end."""
    handlers: set[asyncio.Task[None] | None] = set()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        await reader.read(-1 if answer is None else 1)
        writer.write(answer or b"")
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(respond, HOST, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, handlers))
