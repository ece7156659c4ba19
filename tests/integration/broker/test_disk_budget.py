"""The budget of disk space on a real broker: requests go, oldest first, and the registry stays."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.broker.disk_budget import DiskBudget, kept_bytes
from hotswap_stream.cli.processes.kept_broker import limited
from hotswap_stream.kafka.connection import KafkaConnection

MIB = 1024 * 1024
BUDGET_BYTES = 100 * MIB
DEADLINE_SECONDS = 60.0
TOPICS = Topics("budget")


async def begin_offsets(servers: str, names: list[str]) -> Mapping[str, int]:
    """The first offset that is still there, of partition 0 of each topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    try:
        found = await consumer.beginning_offsets([TopicPartition(name, 0) for name in names])
        return {partition.topic: offset for partition, offset in found.items()}
    finally:
        await consumer.stop()


async def applied(budget: DiskBudget, *names: str) -> None:
    """Apply the budget until these topics are limited: its folders are there a moment after a topic is."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not budget.limited_topics >= set(names):
            await budget.apply()
            await asyncio.sleep(0.1)


async def write(producer: AIOKafkaProducer, topic: str, mebibytes: int) -> None:
    value = b"x" * (MIB // 2)
    for _ in range(2 * mebibytes):
        await producer.send_and_wait(topic, value, partition=0)


async def test_requests_stay_within_the_budget_and_the_registry_is_never_cut(tmp_path: Path) -> None:
    """At 80,000 requests/s of 3 KB the embedded broker filled a laptop's disk in minutes."""
    requests, untouched = TOPICS.requests("m"), [TOPICS.registry, "somebody-elses.requests-of-old"]
    async with EmbeddedKafka(data_dir=tmp_path / "kafka") as kafka:
        connection = KafkaConnection(bootstrap_servers=kafka.bootstrap_servers)
        specs = [
            *TOPICS.model_specs("m", partitions=1),
            *(spec for spec in TOPICS.control_specs() if spec.name == TOPICS.registry),
        ]
        await ensure_topics(connection, specs)
        await applied(DiskBudget(kafka, BUDGET_BYTES, limited), requests, TOPICS.responses("m"))
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all", max_request_size=MIB)
        await producer.start()
        try:
            await write(producer, TOPICS.registry, 60)
            await write(producer, requests, 200)
        finally:
            await producer.stop()
        async with asyncio.timeout(DEADLINE_SECONDS):
            while kept_bytes(kafka.data_dirs) > BUDGET_BYTES + 60 * MIB:
                await asyncio.sleep(0.5)
        offsets = await begin_offsets(kafka.bootstrap_servers, [requests, TOPICS.registry])
        assert offsets[TOPICS.registry] == 0
        assert offsets[requests] > 0
        assert [limited(name) for name in untouched] == [None, None]


async def test_a_longest_request_still_fits_where_the_budget_is_small(tmp_path: Path) -> None:
    """A batch longer than a segment is refused as too large: shares must never come to that."""
    async with EmbeddedKafka(data_dir=tmp_path / "kafka") as kafka:
        connection = KafkaConnection(bootstrap_servers=kafka.bootstrap_servers)
        await ensure_topics(connection, TOPICS.model_specs("m", partitions=8))
        await applied(DiskBudget(kafka, MIB, limited), TOPICS.requests("m"), TOPICS.responses("m"))
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all", max_request_size=9 * MIB)
        await producer.start()
        try:
            await producer.send_and_wait(TOPICS.requests("m"), b"x" * (8 * MIB - 1024), partition=3)
        finally:
            await producer.stop()
