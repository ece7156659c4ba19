"""Which log is followed: remembered in the home, compared at the start, and looked at while it is followed."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log import guard as log_guard
from hotswap_stream.application.log.identity import SeenLog
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.errors import LogReplacedError, LogUnavailableError
from hotswap_stream.home.alone import alone
from hotswap_stream.home.log_memory import HomeLogMemory
from tests.support.samples.registry import MODEL, CountingIds, LogBuilder, register, trained


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_guard, "DOUBT_SECONDS", 0.0)


@pytest.fixture
def memory(tmp_path: Path) -> HomeLogMemory[SeenLog]:
    return HomeLogMemory(tmp_path, SeenLog, prefix="hotswap", cluster="127.0.0.1:9092")


class Topic:
    """A log that somebody can put another one in the place of, and processes that follow it."""

    def __init__(self, memory: HomeLogMemory[SeenLog]) -> None:
        self.shared = MemoryRegistry(SystemClock())
        self.memory = memory

    def process(self, *, begins_log: bool = False) -> Registry:
        return Registry(
            MemoryRegistryLog(self.shared),
            clock=SystemClock(),
            ids=CountingIds(),
            source="/test",
            memory=self.memory,
            begins_log=begins_log,
        )

    async def lived_through(self, records: int) -> None:
        """One process wrote that number of records and ended."""
        process = self.process()
        await process.start()
        for number in range(records):
            assert (await process.handle(register(f"v{number}"))).status == "accepted"
        await process.stop()

    def replace(self, records: int) -> None:
        log = LogBuilder()
        for number in range(records):
            log.append(trained(f"other-{number}"), subject="faces")
        later_ms = int(SystemClock().now().timestamp() * 1000) + 5
        self.shared.records[:] = [LogRecord(each.offset, later_ms, each.key, each.value) for each in log.records]


@pytest.fixture
def topic(memory: HomeLogMemory[SeenLog]) -> Topic:
    return Topic(memory)


async def test_a_process_goes_on_with_the_log_it_knows(topic: Topic, memory: HomeLogMemory[SeenLog]) -> None:
    await topic.lived_through(3)
    seen = memory.recall()
    assert seen is not None
    assert seen.next_offset == 3
    process = topic.process()
    await process.start()
    assert process.seen_log == seen
    await process.stop()


@pytest.mark.parametrize(("records", "words"), [(0, "it is empty"), (2, "there is the log"), (9, "there is the log")])
async def test_another_log_is_refused_at_the_start(topic: Topic, records: int, words: str) -> None:
    await topic.lived_through(3)
    topic.replace(records)
    process = topic.process(begins_log=True)
    with pytest.raises(LogReplacedError, match=words) as raised:
        await process.start()
    assert not raised.value.retriable
    assert len(topic.shared.records) == records, "nothing was written to it"


async def test_processes_that_start_together_begin_an_empty_log_once(tmp_path: Path) -> None:
    shared = MemoryRegistry(SystemClock())

    class Slow(MemoryRegistryLog):
        """As far away as Kafka is: both have looked at the end before one writes."""

        async def append(self, key: bytes, values: Sequence[bytes]) -> int:
            await asyncio.sleep(0.05)
            return await super().append(key, values)

    def process() -> Registry:
        log, lock = Slow(shared), partial(alone, tmp_path / "home" / "lock")
        return Registry(log, clock=SystemClock(), ids=RandomIds(), source="/test", begins_log=True, begin_alone=lock)

    together = [process(), process(), process()]
    await asyncio.gather(*(each.start() for each in together))
    assert len(shared.records) == 1
    assert {str(each.seen_log) for each in together} == {str(together[0].seen_log)}
    for each in together:
        await each.stop()


async def test_a_log_that_lost_its_end_is_refused_at_the_start(topic: Topic) -> None:
    await topic.lived_through(3)
    del topic.shared.records[2:]
    with pytest.raises(LogReplacedError, match="it ends before offset 2 now"):
        await topic.process().start()


@pytest.mark.parametrize("records", [0, 1, 3, 9])
async def test_a_command_is_not_answered_by_another_logs_record(topic: Topic, records: int) -> None:
    """The outcome of the record at the same offset of the old log was taken for the command's own."""
    process = topic.process()
    await process.start()
    for number in range(3):
        await process.handle(register(f"v{number}"))
    topic.replace(records)
    with pytest.raises(LogReplacedError):
        await process.handle(register("v9"))
    assert not process.healthy
    with pytest.raises(LogReplacedError):
        await process.catch_up()
    with pytest.raises(LogReplacedError):
        await process.ended()
    await process.stop()


async def test_what_was_done_before_is_not_answered_from_another_log(topic: Topic) -> None:
    process = topic.process()
    await process.start()
    command = register("v1")
    await process.handle(command)
    topic.replace(1)
    with pytest.raises(LogReplacedError):
        await process.handle(command)
    await process.stop()


async def test_a_process_whose_log_was_replaced_does_not_remember_over_what_was_accepted(
    topic: Topic, memory: HomeLogMemory[SeenLog]
) -> None:
    process = topic.process()
    await process.start()
    await process.handle(register("v1"))
    accepted = SeenLog(identity="f" * 64, began_ms=1, next_offset=7)
    memory.remember(accepted)
    await process.handle(register("v2"))
    await process.stop()
    assert memory.recall() == accepted


async def test_a_follower_that_ended_takes_no_command(topic: Topic) -> None:
    """An API whose follower had died still answered "accepted"."""
    process = topic.process()
    await process.start()
    await process.handle(register("v1"))
    follower = process._follower
    assert follower is not None
    follower.cancel()
    await asyncio.wait({follower})
    with pytest.raises(LogUnavailableError, match="no longer followed"):
        await process.handle(register("v2"))
    assert len(topic.shared.records) == 1, "it was not even appended"
    assert process.state(MODEL).sequence == 1
    await process.stop()


def test_a_home_that_cannot_be_written_to_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    memory = HomeLogMemory(tmp_path / "file", SeenLog, prefix="hotswap", cluster="x")
    memory.remember(SeenLog(identity="f", began_ms=1, next_offset=1))
    assert memory.recall() is None


def test_clusters_and_prefixes_have_files_of_their_own(tmp_path: Path) -> None:
    pairs = [("a", "b@c"), ("a-b", "c"), ("a", "b-c"), ("a", "b_c"), ("a", "b/c"), ("a" * 63, "b" * 300)]
    paths = {HomeLogMemory(tmp_path, SeenLog, prefix=prefix, cluster=cluster).path for prefix, cluster in pairs}
    assert len(paths) == len(pairs)
    assert all(len(path.name) < 200 for path in paths)
