"""One life of a loop, on librdkafka's own broker: what it takes, answers, commits and goes on with."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from confluent_kafka import Consumer, TopicPartition

from hotswap_stream.workers.inference.loop.life import LoopLife
from hotswap_stream.workers.inference.requests.quarantine import Quarantine
from tests.support.kafka.mock_broker import mock_broker
from tests.support.stages.model_loop import ANSWERS, MODEL, REQUESTS, TOPICS, Host, answered, ask, committed, loop_parts


@pytest.fixture
def address() -> Iterator[str]:
    with mock_broker(REQUESTS, ANSWERS, TOPICS.dead_letters) as found:
        yield found


def commit(address: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": address, "group.id": TOPICS.workers_group(MODEL), "log_level": 0})
    try:
        consumer.commit(offsets=[TopicPartition(REQUESTS, 0, offset)], asynchronous=False)
    finally:
        consumer.close()


@asynccontextmanager
async def living(address: str) -> AsyncIterator[Host]:
    """A life that runs in a thread, as `ModelLoop` runs it, over one loaded version."""
    stopping = threading.Event()
    async with loop_parts(address) as parts:
        life = LoopLife(parts, asyncio.get_running_loop(), stopping, Quarantine(MODEL))
        running = asyncio.create_task(asyncio.to_thread(life.run))
        try:
            assert isinstance(parts.host, Host)
            yield parts.host
        finally:
            stopping.set()
            await running


async def test_every_request_is_answered_once_in_order_and_committed(address: str) -> None:
    await asyncio.to_thread(ask, address, 0, 20)
    async with living(address) as host:
        assert await asyncio.to_thread(answered, address, 20) == [float(number) for number in range(20)]
    assert await asyncio.to_thread(committed, address) == 20
    assert host.partitions == [(0, 1, 2, 3)]
    assert sum(host.sizes) == 20
    assert max(host.sizes) <= Host.batching.size_max
    assert host.begun == len(host.sizes)


async def test_a_life_goes_on_after_what_was_committed(address: str) -> None:
    await asyncio.to_thread(ask, address, 0, 10)
    await asyncio.to_thread(commit, address, 7)
    async with living(address) as host:
        assert await asyncio.to_thread(answered, address, 3) == [7.0, 8.0, 9.0]
    assert sum(host.sizes) == 3
    assert await asyncio.to_thread(committed, address) == 10
