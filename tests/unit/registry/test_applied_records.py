"""Which records of the log count, for readers of the records themselves."""

import pytest

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.registry.applied import AppliedRecords
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.errors import LogUnavailableError
from tests.support.samples.registry import MODEL, CountingIds, register


def registry_on(log: MemoryRegistryLog) -> Registry:
    return Registry(log, clock=SystemClock(), ids=CountingIds(), source="/test")


async def test_records_count_but_for_the_void_ones() -> None:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    registry = registry_on(log)
    applied = AppliedRecords(registry)
    await registry.start()
    try:
        await registry.handle(register("v1"))
        void = await log.append(MODEL.encode(), [b"no event", b"none either"])
        last = await registry.handle(register("v2"))
        assert last.offset is not None
        counted = [await applied.counts(offset) for offset in range(last.offset + 1)]
        assert [offset for offset, counts in enumerate(counted) if not counts] == [void, void + 1]
    finally:
        await registry.stop()


async def test_it_must_be_made_before_the_first_record_is_folded() -> None:
    registry = registry_on(MemoryRegistryLog(MemoryRegistry(SystemClock())))
    await registry.start()
    try:
        await registry.handle(register("v1"))
        with pytest.raises(ValueError, match="before it is started"):
            AppliedRecords(registry)
    finally:
        await registry.stop()


async def test_a_registry_that_is_not_started_says_so() -> None:
    applied = AppliedRecords(registry_on(MemoryRegistryLog(MemoryRegistry(SystemClock()))))
    with pytest.raises(LogUnavailableError, match="start the registry first"):
        await applied.counts(0)
