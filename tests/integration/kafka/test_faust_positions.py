"""What Faust fetched and dropped is read again, also where this group has never committed anything."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from faust.types import TP

from hotswap_events.topics import TopicSpec
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.agents.faust_app import FaustAgents
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.kafka.connection import KafkaConnection

RECORDS = 5
SECONDS_MAX = 30.0


@asynccontextmanager
async def told(
    kafka: str, prefix: str, handle: Callable[[InboundRecord], Awaitable[None]]
) -> AsyncIterator[tuple[FaustAgents, TP]]:
    """Agents that nobody started yet, and a partition with records for them that their group has not read."""
    connection = KafkaConnection(bootstrap_servers=kafka)
    topic, table = f"{prefix}.told", f"{prefix}.table"
    specs = (
        TopicSpec(name=topic, partitions=1, cleanup_policy="delete", retention_ms=3_600_000),
        TopicSpec(name=table, partitions=1, cleanup_policy="compact", retention_ms=-1),
    )
    await ensure_topics(connection, specs)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(RECORDS):
            await producer.send_and_wait(topic, str(number).encode())
    agents = FaustAgents(connection, group=prefix, instance=f"{prefix}-1", table_topic=table)
    agents.consume(topic, handle)
    async with asyncio.timeout(SECONDS_MAX):
        try:
            yield agents, TP(topic, 0)
        finally:
            await agents.stop()


async def test_what_was_dropped_before_the_first_commit_is_read_again(kafka: str, topic_prefix: str) -> None:
    going, handled = asyncio.Event(), list[int]()

    async def handle(record: InboundRecord) -> None:
        await going.wait()
        handled.append(record.offset)

    async with told(kafka, topic_prefix, handle) as (agents, place):
        await agents.start()
        consumer = agents._app.consumer
        thread = consumer._thread  # type: ignore[attr-defined]  # of every driver
        while thread.fetch_position(place) != RECORDS:
            await asyncio.sleep(0.05)
        # As Faust does with what it fetched while it restores a table: its queues are emptied, then it goes back.
        consumer.stop_flow()
        agents._app.flow_control.clear()
        await consumer.perform_seek()
        assert thread.fetch_position(place) in (0, None)
        consumer.resume_flow()
        agents._app.flow_control.resume()
        going.set()
        while set(handled) != set(range(RECORDS)):
            await asyncio.sleep(0.05)


async def test_what_a_fetch_brings_from_before_a_jump_back_is_not_passed_on(
    kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[int] = []

    async def handle(record: InboundRecord) -> None:
        handled.append(record.offset)

    async with told(kafka, topic_prefix, handle) as (agents, place):
        consumer: Any = agents._app.consumer
        fetch, jumped = consumer._getmany, asyncio.Event()

        async def fetch_beyond(active_partitions: Any, timeout: float) -> Any:  # Faust's signature
            found = await fetch(active_partitions=active_partitions, timeout=timeout)
            if not found.get(place) or jumped.is_set():
                return found
            jumped.set()
            # The first of them were fetched earlier, and dropped; while these are under way Faust goes back.
            await consumer.perform_seek()
            return {place: found[place][-2:]}

        monkeypatch.setattr(consumer, "_getmany", fetch_beyond)
        await agents.start()
        while len(handled) < RECORDS:
            await asyncio.sleep(0.05)
    assert jumped.is_set()
    assert handled == list(range(RECORDS))
