"""Which log this is: known by its first record, and never shorter than it was seen."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log.identity import SeenLog, check_seen, look_at, seen_from
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.errors import LogReplacedError
from tests.support.samples.registry import CountingIds, register

SEEN = SeenLog(
    identity="a" * 64, began_ms=int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp() * 1000), next_offset=7
)


def test_how_it_is_called() -> None:
    assert str(SEEN) == "the log aaaaaaaaaaaa that began at 2026-01-02 03:04:05Z, with 7 records"
    assert str(replace(SEEN, next_offset=1)).endswith("with 1 record")


@pytest.mark.parametrize("there", [SEEN, replace(SEEN, next_offset=8)])
def test_the_same_log_may_have_grown(there: SeenLog) -> None:
    check_seen(SEEN, there)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (None, "it is empty"),
        (replace(SEEN, identity="b" * 64), "there is the log bbbbbbbbbbbb"),
        (replace(SEEN, next_offset=6), "it ends before offset 6 now"),
    ],
)
def test_another_one_or_a_shorter_one_is_told_with_the_way_out(there: Any, words: str) -> None:
    with pytest.raises(LogReplacedError, match=words) as raised:
        check_seen(SEEN, there)
    assert "registry accept" in str(raised.value)
    assert "with 7 records" in str(raised.value)


async def test_a_log_is_seen_as_it_is() -> None:
    shared = MemoryRegistry(SystemClock())
    log = MemoryRegistryLog(shared)
    looked_at = MemoryRegistryLog(shared)
    await looked_at.start()
    assert await look_at(looked_at) is None
    registry = Registry(log, clock=SystemClock(), ids=CountingIds(), source="/test")
    await registry.start()
    await registry.handle(register("v1"))
    one = await look_at(looked_at)
    await registry.handle(register("v2"))
    two = await look_at(looked_at)
    await registry.stop()
    await looked_at.stop()
    assert one is not None
    assert two is not None
    assert (two.identity, two.began_ms) == (one.identity, one.began_ms)
    assert two.next_offset > one.next_offset
    check_seen(one, two)
    with pytest.raises(LogReplacedError):
        check_seen(two, one)


def test_a_first_record_without_bytes_is_one_too() -> None:
    first = LogRecord(offset=0, timestamp_ms=5, key=None, value=None)
    seen = seen_from(first, 0)
    assert (seen.began_ms, seen.next_offset) == (5, 1)
    assert seen.identity != seen_from(replace(first, value=b"x"), 0).identity
