"""What Faust fetched and dropped is read again, and nothing is committed before the table that it led to is safe."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaTimeoutError
from faust.types import TP

from hotswap_events.topics import TopicSpec
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.agents.faust_app import FaustAgents
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.kafka.connection import KafkaConnection

RECORDS = 5
SECONDS_MAX = 60.0


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


async def test_nothing_is_committed_before_the_changelog_has_what_it_led_to(
    kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = asyncio.Event()

    async def handle(record: InboundRecord) -> None:
        agents.table[b"last"] = str(record.offset).encode()
        if record.offset == RECORDS - 1:
            written.set()

    async with told(kafka, topic_prefix, handle) as (agents, place):
        buffer, consumer = cast("Any", agents._app.producer.buffer), cast("Any", agents._app.consumer)
        hand_over, going = buffer._send_pending, asyncio.Event()

        async def hand_over_late(sent: Any) -> None:
            await going.wait()
            await hand_over(sent)

        monkeypatch.setattr(buffer, "_send_pending", hand_over_late)
        await agents.start()
        await written.wait()
        flushing = asyncio.create_task(agents.flush())
        # Several times as long as Faust waits for its buffer, and as it takes until it commits.
        await asyncio.wait({flushing}, timeout=1.0)
        assert not flushing.done()
        assert not (await consumer._thread.seek_to_committed())[place]
        going.set()
        await flushing
        while (await consumer._thread.seek_to_committed())[place] != RECORDS:
            await asyncio.sleep(0.05)


async def test_a_table_whose_changelog_lacks_a_record_is_never_taken_for_safe(
    kafka: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(record: InboundRecord) -> None:
        agents.table[b"last"] = str(record.offset).encode()

    async with told(kafka, topic_prefix, handle) as (agents, place):

        async def refuse(*_arguments: Any, **_options: Any) -> "asyncio.Future[Any]":
            refused = asyncio.get_running_loop().create_future()
            refused.set_exception(KafkaTimeoutError())
            return refused

        monkeypatch.setattr(agents._app.producer, "send", refuse)
        await agents.start()
        assert "lacks a record" in repr(await agents.failure())
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=topic_prefix, enable_auto_commit=False)
    async with reader:
        assert not await reader.committed(TopicPartition(place.topic, place.partition))
