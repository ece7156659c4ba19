"""The newest records of the log in memory: found by their offsets, the oldest leave first."""

import pytest

from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry import tail as registry_tail
from hotswap_stream.application.registry.fold import Void
from hotswap_stream.application.registry.tail import Tail, TailEntry


def entry(offset: int) -> TailEntry:
    return TailEntry(LogRecord(offset=offset, timestamp_ms=0, key=None, value=b""), Void("a sample"))


def offsets(tail: Tail) -> list[int]:
    return [entry.record.offset for entry in tail]


@pytest.fixture
def tail(monkeypatch: pytest.MonkeyPatch) -> Tail:
    """A tail of four, after records that have gaps between them, as transaction markers leave."""
    monkeypatch.setattr(registry_tail, "TAIL_RECORDS_MAX", 4)
    tail = Tail()
    for offset in (0, 1, 3, 4, 7, 8):
        tail.add(entry(offset))
    return tail


def test_an_empty_one_has_no_ends() -> None:
    tail = Tail()
    assert (tail.first_offset, tail.newest, len(tail), tail.at(0), tail.since(0)) == (None, None, 0, None, [])


def test_the_oldest_leave(tail: Tail) -> None:
    assert offsets(tail) == [3, 4, 7, 8]
    assert (tail.first_offset, len(tail)) == (3, 4)
    assert tail.newest == entry(8)


@pytest.mark.parametrize("offset", [3, 4, 7, 8])
def test_what_is_held_is_found(tail: Tail, offset: int) -> None:
    assert tail.at(offset) == entry(offset)


@pytest.mark.parametrize("offset", [-1, 0, 1, 2, 5, 6, 9])
def test_what_left_or_never_was_is_not_found(tail: Tail, offset: int) -> None:
    assert tail.at(offset) is None


@pytest.mark.parametrize(("offset", "expected"), [(0, [3, 4, 7, 8]), (3, [3, 4, 7, 8]), (5, [7, 8]), (8, [8]), (9, [])])
def test_since_begins_at_the_offset_or_after_it(tail: Tail, offset: int, expected: list[int]) -> None:
    assert [found.record.offset for found in tail.since(offset)] == expected
