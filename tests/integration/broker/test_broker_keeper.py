"""The keeper of the embedded broker, on a real one: what it says, when it waits, and when it gives up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from hotswap_stream.broker import BrokerKeeper, BrokerLostError, EmbeddedKafka, KafkaNode
from hotswap_stream.broker.disk import DISK_FREE_BYTES_LOW
from hotswap_stream.broker.keeper import KeeperPace
from hotswap_stream.home.broker_condition import BrokerCondition
from tests.support.kafka.topics import consume, create_topic

DEADLINE_SECONDS = 60.0


class Room:
    """The free space that the keeper is told of."""

    def __init__(self) -> None:
        self.bytes = 100 * DISK_FREE_BYTES_LOW

    def __call__(self, _folder: Path) -> int:
        return self.bytes


class Told:
    """What the keeper said, in order."""

    def __init__(self) -> None:
        self.all: list[BrokerCondition] = []
        self._news = asyncio.Event()

    def __call__(self, condition: BrokerCondition) -> None:
        self.all.append(condition)
        self._news.set()

    async def wait(self, state: str, containing: str = "", *, restarts: int = 0) -> BrokerCondition:
        """The first condition of this kind, now or later."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                for condition in self.all:
                    words = f"{condition.because}{condition.disk_warning}"
                    if condition.state == state and condition.restarts == restarts and containing in words:
                        return condition
                self._news.clear()
                await self._news.wait()


def running(node: KafkaNode) -> bool:
    return node.pid is not None


@asynccontextmanager
async def kept(
    folder: Path, told: Told, room: Room, pace: KeeperPace | None = None
) -> AsyncIterator[tuple[EmbeddedKafka, KafkaNode, "asyncio.Task[None]"]]:
    async with EmbeddedKafka(data_dir=folder) as kafka:
        keeping = asyncio.create_task(BrokerKeeper(kafka, told, pace=pace, read_free_bytes=room).run())
        try:
            yield kafka, kafka.nodes[0], keeping
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError, BrokerLostError):
                await keeping


async def test_what_was_acknowledged_before_a_failed_write_is_there_after_the_return(
    tmp_path: Path, topic_prefix: str
) -> None:
    """A broker whose disk took nothing more halted and stayed dead."""
    told, room, acknowledged = Told(), Room(), list[bytes]()
    async with kept(tmp_path / "kafka", told, room) as (kafka, node, _):
        await create_topic(kafka.bootstrap_servers, topic_prefix)
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all", request_timeout_ms=2_000)
        await producer.start()
        with suppress(KafkaError):
            for number in range(2_000):
                if number == 20:
                    # The kernel refuses this process longer files, as a full disk refuses them.
                    room.bytes = 0
                    limit = (100_000, 100_000)
                    psutil.Process(node.pid).rlimit(psutil.RLIMIT_FSIZE, limit)
                value = b"%d" % number + b" " * 10_000
                await producer.send_and_wait(topic_prefix, value)
                acknowledged.append(value)
        with suppress(KafkaError):
            await producer.stop()
        away = await told.wait("away")
        assert f"the disk of {tmp_path / 'kafka'} is full" in away.because
        assert "make room" in away.because
        await asyncio.sleep(2)
        assert not running(node), "it must not be started while there is no room"
        room.bytes = 100 * DISK_FREE_BYTES_LOW
        await told.wait("serving", restarts=1)
        assert running(node)
        assert len(acknowledged) >= 20
        found = await consume(kafka.bootstrap_servers, topic_prefix, len(acknowledged))
        assert found[: len(acknowledged)] == acknowledged


async def test_a_disk_that_is_nearly_full_is_told_of_once_and_taken_back(tmp_path: Path) -> None:
    """A disk was full before anybody was told that it would be."""
    told, room = Told(), Room()
    async with kept(tmp_path / "kafka", told, room):
        room.bytes = DISK_FREE_BYTES_LOW - 1
        warned = await told.wait("serving", "a full disk ends the broker")
        assert str(tmp_path / "kafka") in warned.disk_warning
        room.bytes = DISK_FREE_BYTES_LOW + 1
        await asyncio.sleep(1.5)
        assert told.all == [warned], "a little more than the limit is not enough again"
        room.bytes = 2 * DISK_FREE_BYTES_LOW
        async with asyncio.timeout(DEADLINE_SECONDS):
            while told.all[-1].disk_warning:
                await asyncio.sleep(0.1)


async def test_a_broker_that_ends_again_and_again_is_given_up_with_the_reason(tmp_path: Path) -> None:
    """Every retry ends: what cannot run is not tried for ever."""
    told, pace = Told(), KeeperPace(per_minute_max=2, seconds_first=0.01, seconds_max=0.02)
    async with kept(tmp_path / "kafka", told, Room(), pace) as (_, node, keeping):
        (node.log_dir.parent / "data" / "meta.properties").write_text("version=1\nnode.id=77\n")
        await node.kill()
        with pytest.raises(BrokerLostError, match="again and again, the last time like this: node 1 of the broker"):
            async with asyncio.timeout(DEADLINE_SECONDS):
                await keeping
        assert all(condition.state == "away" for condition in told.all)
