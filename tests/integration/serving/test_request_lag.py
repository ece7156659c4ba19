"""How many requests wait, on the real broker with a real worker: never asked, answered and not committed, waiting."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.inference.lag import TAIL_RECORDS, KafkaRequestLag
from hotswap_stream.application.inference.lag import WaitingRequests
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, open_stage, request_body, stage_settings


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        await stage.switch(await stage.register_answering(1.0))
        yield stage


@pytest.fixture
async def lag(settings: Settings) -> AsyncIterator[KafkaRequestLag]:
    async with bootstrap.request_lag(settings) as lag:
        yield lag


async def send(stage: Stage, first: int, second: int) -> None:
    for partition, count in enumerate((first, second)):
        for _request in range(count):
            await stage.send(request_body(), partition=partition)


async def answered(stage: Stage, settings: Settings, count: int) -> None:
    """Let a worker answer all there is, and stop."""
    worker = await bootstrap.build_worker(settings, "w1")
    async with stage.reading() as answers:
        await worker.start()
        try:
            await answers.until(lambda: sum(map(len, answers.by_partition)) == count)
        finally:
            await worker.stop()


async def test_all_that_no_worker_has_answered_waits(stage: Stage, settings: Settings, lag: KafkaRequestLag) -> None:
    assert await lag.waiting({}) == {}
    assert await lag.waiting({MODEL: 0.0, "other": 0.0}) == {MODEL: WaitingRequests(requests=0, partitions=PARTITIONS)}
    await send(stage, 30, 12)
    waiting = WaitingRequests(requests=42, partitions=PARTITIONS, largest_partition=30)
    for threshold in (0.0, 1e9):
        found = (await lag.waiting({MODEL: threshold}))[MODEL]
        assert replace(found, standstill_seconds=0.0) == waiting
    await answered(stage, settings, 42)
    assert await lag.waiting({MODEL: 0.0}) == {MODEL: WaitingRequests(requests=0, partitions=PARTITIONS)}
    await send(stage, 0, 5)
    assert (await lag.waiting({MODEL: 0.0}))[MODEL].requests == 5


async def test_a_partition_that_does_not_move_stands_still_until_it_is_answered(
    stage: Stage, settings: Settings, lag: KafkaRequestLag
) -> None:
    async def standstill() -> float:
        return (await lag.waiting({MODEL: 1e9}))[MODEL].standstill_seconds

    await send(stage, 2, 0)
    assert await standstill() == 0.0
    first = await standstill()
    assert first > 0.0
    await send(stage, 1, 0)
    assert await standstill() > first, "that more requests come is no movement"
    await answered(stage, settings, 3)
    assert await standstill() == 0.0
    await send(stage, 1, 0)
    assert await standstill() == 0.0
    assert await standstill() > 0.0


async def test_answered_requests_do_not_wait_though_nothing_was_committed(
    stage: Stage, settings: Settings, lag: KafkaRequestLag
) -> None:
    count = TAIL_RECORDS + 10
    await send(stage, count, 3)
    await answered(stage, settings, count + 3)
    _commit(settings, stage.topics.workers_group(MODEL), [(stage.topics.requests(MODEL), 0, 1)])
    await send(stage, 2, 0)
    waiting = (await lag.waiting({MODEL: 1e9}))[MODEL]
    assert waiting.requests == count + 1, "up to the threshold what was committed is enough"
    waiting = (await lag.waiting({MODEL: 1.0}))[MODEL]
    assert (waiting.requests, waiting.largest_partition) == (2, 2)


def _commit(settings: Settings, group: str, places: list[tuple[str, int, int]]) -> None:
    consumer = Consumer({**bootstrap.connection(settings).librdkafka_options(), "group.id": group})
    try:
        consumer.commit(offsets=[TopicPartition(*place) for place in places], asynchronous=False)
    finally:
        consumer.close()


async def test_questions_at_once_wait_for_each_other(stage: Stage, lag: KafkaRequestLag) -> None:
    await send(stage, 1, 0)
    found = await asyncio.gather(*(lag.waiting({MODEL: 0.0}) for _question in range(5)))
    assert {each[MODEL].requests for each in found} == {1}


async def test_broker_trouble_is_retriable(stage: Stage, settings: Settings) -> None:
    nowhere = KafkaConnection(bootstrap_servers="127.0.0.1:1")
    async with KafkaRequestLag(nowhere.client_options(), bootstrap.topics(settings)) as lag:
        for _attempt in range(2):
            with pytest.raises(LogUnavailableError) as raised:
                await lag.waiting({MODEL: 0.0})
            assert raised.value.retriable
