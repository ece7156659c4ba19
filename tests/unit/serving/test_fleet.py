"""What a worker says of itself and hears of others, on librdkafka's own broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from confluent_kafka import Producer

from hotswap_events.inference.fleet import FleetRecord
from hotswap_stream.workers.inference.fleet import Fleet
from tests.support.kafka.mock_broker import mock_broker, values_of

TOPIC = "hotswap.fleet"
SECONDS_MAX = 60.0


@pytest.fixture
def address() -> Iterator[str]:
    with mock_broker(TOPIC) as found:
        yield found


@asynccontextmanager
async def member(address: str, worker: str) -> AsyncIterator[Fleet]:
    fleet = Fleet({"bootstrap_servers": address}, TOPIC, worker)
    await fleet.start()
    try:
        yield fleet
    finally:
        await fleet.stop()


def said_by(worker: str, registry_offset: int = 7) -> FleetRecord:
    return FleetRecord(worker=worker, model_name="digits", registry_offset=registry_offset, versions={})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not holds():
            await asyncio.sleep(0.05)


def names(fleet: Fleet, model_name: str = "digits") -> list[str] | None:
    others = fleet.others(model_name)
    return None if others is None else [other.worker for other in others]


async def test_workers_hear_of_each_other_and_of_an_end(address: str) -> None:
    async with member(address, "w1") as first:
        first.report(said_by("w1"))
        await until(lambda: names(first) == [])
        async with member(address, "w2") as second:
            second.report(said_by("w2"))
            await until(lambda: names(first) == ["w2"] and names(second) == ["w1"])
            assert names(first, "another-model") == []
        await until(lambda: names(first) == [])


async def test_nothing_is_known_before_its_own_words_came_back(address: str) -> None:
    """What is not known is not empty: a failed load must not be taken for everybody's."""
    async with member(address, "w1") as fleet:
        assert (fleet.following, fleet.known) == (True, False), "it has said nothing that it could hear"
        assert fleet.others("digits") is None
        fleet.report(said_by("w1"))
        assert (fleet.following, fleet.known) == (False, False)
        await until(lambda: fleet.following and fleet.known)
        assert fleet.others("digits") == []


async def test_what_anybody_may_write_ends_nothing(address: str) -> None:
    hostile: list[tuple[bytes | None, bytes | None]] = [
        (b"\xff\xfe/digits", b"\xff"),
        (None, None),
        (b"w2/digits", b"{"),
        (b"", b"[]"),
        (b"w2/digits", msgspec.json.encode({"worker": "w3"})),
        (b"/" * 500, b"\x00" * 1_000),
    ]
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    async with member(address, "w1") as fleet:
        for at_start in (True, False):
            for key, value in hostile:
                producer.produce(TOPIC, value, key=key, partition=0)
            assert await asyncio.to_thread(producer.flush, 20) == 0
            if at_start:
                fleet.report(said_by("w1"))
                await until(lambda: fleet.known)
        async with member(address, "w2") as other:
            other.report(said_by("w2"))
            await until(lambda: names(fleet) == ["w2"])


async def test_a_record_is_published_when_it_changes_and_taken_back_at_the_end(address: str) -> None:
    async with member(address, "w1") as fleet:
        fleet.report(said_by("w1"))
        await until(lambda: fleet.known)
        fleet.report(said_by("w1", 8))
        await asyncio.sleep(0.5)
    values = await asyncio.to_thread(values_of, address, TOPIC, 0, 3)
    said = [None if value is None else msgspec.json.decode(value)["registry_offset"] for value in values]
    assert said == [7, 8, None]
