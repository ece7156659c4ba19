"""Requests that are observed, and the records that come of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from hotswap_events.inference.observation import Observation
from hotswap_stream.settings import Settings
from tests.support.stages.serving import PARTITIONS, Stage, request_body


class Records:
    """All records of a topic with four partitions, as they come."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.values: list[bytes] = []
        self.partitions: set[int] = set()
        self._consumer = consumer

    async def read(self) -> None:
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=100)).items():
                self.partitions.add(partition.partition)
                self.values.extend(record.value for record in records)

    async def until(self, true: Callable[[], bool], seconds_max: float = 60.0) -> None:
        async with asyncio.timeout(seconds_max):
            while not true():
                await asyncio.sleep(0.02)

    def observations(self, **wanted: str | None) -> list[Observation]:
        found = [msgspec.json.decode(value, type=Observation) for value in self.values]
        return [each for each in found if all(getattr(each, name) == value for name, value in wanted.items())]

    def answers(self, **wanted: str | None) -> int:
        return sum(each.answers for each in self.observations(**wanted))


@asynccontextmanager
async def reading(settings: Settings, topic: str) -> AsyncIterator[Records]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, number) for number in range(4)])
    records = Records(consumer)
    task = asyncio.create_task(records.read())
    try:
        yield records
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()


async def send(stage: Stage, count: int, *, first: int = 0) -> None:
    for number in range(first, first + count):
        await stage.send(request_body(f"r-{number}"), partition=number % PARTITIONS)
