"""Pages of the log: limits, filters, and which records are void even when they are older than the memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.registry import feed as event_feed
from hotswap_stream.application.registry import tail as registry_tail
from hotswap_stream.application.registry.feed import EntryFilter, EventFeed
from hotswap_stream.application.registry.registry import Registry
from tests.support.samples.registry import CountingIds, LogBuilder, SteppingClock, promoted, staged, trained


@asynccontextmanager
async def registry_on(builder: LogBuilder) -> AsyncIterator[Registry]:
    shared = MemoryRegistry(SteppingClock())
    shared.records.extend(builder.records)
    registry = Registry(MemoryRegistryLog(shared), clock=SteppingClock(), ids=CountingIds(), source="/test")
    await registry.start()
    try:
        yield registry
    finally:
        await registry.stop()


async def test_voids_older_than_the_memory_are_found_by_folding_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_tail, "TAIL_RECORDS_MAX", 2)
    builder = LogBuilder().append(trained("v1")).append_value(b"{}").append(staged("v1"), promoted("v1"))
    async with registry_on(builder) as registry:
        feed = EventFeed(registry)
        assert feed.memory_starts_at == 2
        newest = await feed.page(2)
        assert [entry.void_because for entry in newest.entries] == [None, None]
        whole = await feed.page(0)
        assert [entry.void_kind for entry in whole.entries] == [None, "unreadable", None, None]
        assert whole.at_end


async def test_a_feed_that_was_there_before_the_records_needs_no_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_tail, "TAIL_RECORDS_MAX", 1)
    async with registry_on(LogBuilder()) as registry:
        feed = EventFeed(registry)
        await registry.log.append(b"", [b"1", b"{}", b"\xff"])
        await registry.catch_up()
        page = await feed.page(0)
        assert [entry.event for entry in page.entries] == [None, {}, None]
        assert page.entries[0].unreadable_text == "1"
        assert page.entries[2].unreadable_text == "\N{REPLACEMENT CHARACTER}"
        feed.close()


async def test_a_filter_that_matches_nothing_ends_the_page_and_the_next_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_feed, "SCANNED_RECORDS_MAX", 2)
    builder = LogBuilder().append(trained("v1"), trained("v2"), trained("v3"), staged("v1"))
    async with registry_on(builder) as registry:
        feed = EventFeed(registry)
        wanted = EntryFilter(event_type="staged")
        first = await feed.page(0, wanted=wanted)
        assert (first.entries, first.next_offset, first.at_end) == ((), 2, False)
        second = await feed.page(first.next_offset, wanted=wanted)
        assert [entry.offset for entry in second.entries] == [3]
        assert second.at_end


async def test_a_page_ends_where_it_has_looked_through_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who filled the log with large records made each question with a filter wait without an end."""
    builder = LogBuilder().append(trained("v1"), trained("v2"), trained("v3"))
    monkeypatch.setattr(event_feed, "SCANNED_BYTES_MAX", len(builder.records[0].value or b"") + 1)
    async with registry_on(builder) as registry:
        feed = EventFeed(registry)
        first = await feed.page(0, wanted=EntryFilter(event_type="staged"))
        assert (first.entries, first.next_offset, first.at_end) == ((), 2, False)
        second = await feed.page(first.next_offset)
        assert [entry.offset for entry in second.entries] == [2]
        assert second.at_end


async def test_a_page_behind_the_end_is_empty() -> None:
    async with registry_on(LogBuilder().append(trained("v1"))) as registry:
        page = await EventFeed(registry).page(99)
        assert (page.entries, page.next_offset, page.end_offset) == ((), 99, 1)
        assert page.at_end


async def test_a_page_holds_at_most_its_limit() -> None:
    async with registry_on(LogBuilder().append(trained("v1"), trained("v2"))) as registry:
        page = await EventFeed(registry).page(-5, limit=1)
        assert [entry.offset for entry in page.entries] == [0]
        assert (page.next_offset, page.at_end) == (1, False)


async def test_pages_backwards_are_those_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "BACKWARDS_RECORDS", 3)
    builder = LogBuilder()
    for number in range(1, 11):
        builder.append(trained(f"v{number}"))
    async with registry_on(builder) as registry:
        feed = EventFeed(registry)
        last = await feed.page_before(99, limit=4)
        assert ([entry.offset for entry in last.entries], last.first_offset) == ([6, 7, 8, 9], 6)
        assert last.at_end
        before = await feed.page_before(last.first_offset, limit=4)
        assert ([entry.offset for entry in before.entries], before.first_offset) == ([2, 3, 4, 5], 2)
        assert (before.next_offset, before.at_end) == (6, False)
        first = await feed.page_before(before.first_offset, limit=4)
        assert ([entry.offset for entry in first.entries], first.first_offset) == ([0, 1], 0)
        assert (await feed.page_before(0)).entries == ()


async def test_a_filter_backwards_looks_on_and_ends_where_it_has_looked_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_feed, "BACKWARDS_RECORDS", 2)
    monkeypatch.setattr(event_feed, "SCANNED_RECORDS_MAX", 4)
    builder = LogBuilder().append(trained("v1"), staged("v1"))
    for number in range(2, 6):
        builder.append(trained(f"v{number}"))
    async with registry_on(builder) as registry:
        feed = EventFeed(registry)
        wanted = EntryFilter(event_type="staged")
        nothing = await feed.page_before(6, wanted=wanted)
        assert (nothing.entries, nothing.first_offset) == ((), 2)
        found = await feed.page_before(nothing.first_offset, wanted=wanted)
        assert ([entry.offset for entry in found.entries], found.first_offset) == ([1], 0)


async def test_large_records_end_a_page_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = LogBuilder().append(trained("v1"), trained("v2"), trained("v3"), trained("v4"))
    monkeypatch.setattr(event_feed, "BACKWARDS_RECORDS", 2)
    monkeypatch.setattr(event_feed, "SCANNED_BYTES_MAX", 1)
    async with registry_on(builder) as registry:
        page = await EventFeed(registry).page_before(4)
        assert ([entry.offset for entry in page.entries], page.first_offset) == ([2, 3], 2)


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (EntryFilter(void=True), [1]),
        (EntryFilter(void=False), [0, 2]),
        (EntryFilter(text="STAGED"), [2]),
        (EntryFilter(text="no event"), [1]),
        (EntryFilter(text="nowhere"), []),
        (EntryFilter(actor="nobody"), []),
    ],
)
async def test_entries_are_found_by_what_is_in_them(wanted: EntryFilter, offsets: list[int]) -> None:
    builder = LogBuilder().append(trained("v1")).append_value(b"this is no Event").append(staged("v1"))
    async with registry_on(builder) as registry:
        page = await EventFeed(registry).page(0, wanted=wanted)
        assert [entry.offset for entry in page.entries] == offsets
        actors = {(entry.event or {}).get("actor") for entry in (await EventFeed(registry).page(0)).entries}
        (actor,) = actors - {None}
        assert len((await EventFeed(registry).page(0, wanted=EntryFilter(actor=actor))).entries) == 2
