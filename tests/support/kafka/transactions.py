"""Transactions of other clients on topics of ours: what they leave behind, whoever they are."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

MARKER_SECONDS_MAX = 60.0

Headers: TypeAlias = Sequence[tuple[str, bytes]]
End: TypeAlias = Literal["committed", "aborted"]


@asynccontextmanager
async def open_transaction(
    servers: str,
    topic: str,
    value: bytes | None,
    *,
    partition: int = 0,
    key: bytes | None = b"foreign",
    headers: Headers = (),
    end: End = "aborted",
) -> AsyncIterator[int]:
    """A transaction that has written one record, at this offset, and ends when the block does."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"foreign-{uuid.uuid4()}")
    await producer.start()
    try:
        await producer.begin_transaction()
        sent = await producer.send_and_wait(topic, value, key=key, partition=partition, headers=list(headers))
        try:
            yield int(sent.offset)
        finally:
            await (producer.commit_transaction() if end == "committed" else producer.abort_transaction())
            await _marker_written(servers, TopicPartition(topic, partition), sent.offset)
    finally:
        await producer.stop()


async def _marker_written(servers: str, partition: TopicPartition, offset: int) -> None:
    """The broker says that a transaction has ended before it writes the marker."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, isolation_level="read_committed")
    await consumer.start()
    try:
        async with asyncio.timeout(MARKER_SECONDS_MAX):
            while (await consumer.end_offsets([partition]))[partition] <= offset + 1:
                await asyncio.sleep(0.01)
    finally:
        await consumer.stop()


async def transaction(
    servers: str,
    topic: str,
    value: bytes | None = b"foreign",
    *,
    partition: int = 0,
    key: bytes | None = b"foreign",
    headers: Headers = (),
    end: End = "aborted",
) -> int:
    """A record that is committed or taken back, with a marker behind it; the record's offset."""
    async with open_transaction(
        servers, topic, value, partition=partition, key=key, headers=headers, end=end
    ) as offset:
        return offset
