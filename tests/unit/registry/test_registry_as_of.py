"""The registry as it was: by offset, by time, replayed once for each end that was asked for lately."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.as_of import (
    FOLDS_KEPT_MAX,
    WAITING_MAX,
    OffsetNotReachedError,
    RegistryAsOf,
    TimeNotReachedError,
    TooManyReplaysError,
)
from tests.support.samples.registry import EPOCH, MODEL, LogBuilder, SteppingClock, promoted, trained


class CountingLog(MemoryRegistryLog):
    """Counts the replays."""

    reads = 0

    def read(self, start_offset: int, end_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        self.reads += 1
        return super().read(start_offset, end_offset)


@pytest.fixture
async def log() -> CountingLog:
    builder = LogBuilder()
    for number in range(1, 10):
        builder.append(trained(f"v{number}"))
    builder.append(promoted("v9"))
    shared = MemoryRegistry(SteppingClock())
    shared.records.extend(builder.records)
    log = CountingLog(shared)
    await log.start()
    return log


async def test_the_state_after_an_offset_and_at_a_time(log: CountingLog) -> None:
    past = RegistryAsOf(log)
    assert list((await past.at_offset(2))[MODEL].state.versions) == ["v1", "v2", "v3"]
    assert (await past.at_offset(8))[MODEL].state.active_version is None
    assert (await past.at_offset(9))[MODEL].state.active_version == "v9"
    # The sample's records are one millisecond apart.
    assert list((await past.at_time(EPOCH + timedelta(milliseconds=1)))[MODEL].state.versions) == ["v1", "v2"]
    assert await past.at_time(datetime(1970, 1, 1, tzinfo=UTC)) == {}
    assert (await past.at_time(EPOCH + timedelta(days=1)))[MODEL].state.active_version == "v9"


async def test_a_time_that_has_not_come_is_refused_with_the_newest_event(log: CountingLog) -> None:
    past, now = RegistryAsOf(log), EPOCH + timedelta(hours=1)
    with pytest.raises(
        TimeNotReachedError, match=r"has not come yet; the newest event of the log is at offset 9, of 20"
    ):
        await past.at_time(now + timedelta(minutes=2), now=now)
    # Clocks may be a little apart.
    assert (await past.at_time(now + timedelta(seconds=30), now=now))[MODEL].state.active_version == "v9"


async def test_an_offset_that_is_not_there_is_refused_with_what_is(log: CountingLog) -> None:
    with pytest.raises(OffsetNotReachedError, match="no offset 10; it holds 0 to 9"):
        await RegistryAsOf(log).at_offset(10)


async def test_the_last_few_replays_are_kept(log: CountingLog) -> None:
    past = RegistryAsOf(log)
    for _ in range(3):
        await past.at_offset(5)
    assert log.reads == 1
    for offset in range(FOLDS_KEPT_MAX):
        await past.at_offset(offset)
    await past.at_offset(5)
    assert log.reads == 1 + FOLDS_KEPT_MAX + 1


async def test_no_more_replays_wait_than_the_limit(log: CountingLog) -> None:
    past = RegistryAsOf(log)
    asked = [asyncio.create_task(past.at_offset(5)) for _ in range(WAITING_MAX + 3)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(answer, TooManyReplaysError) for answer in answers) == 3
    assert log.reads == 1
