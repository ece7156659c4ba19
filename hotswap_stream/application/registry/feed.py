"""The registry log as pages of readable entries, each marked void or not: for people, dashboards and live streams."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hotswap_stream.application.descriptions.event import described
from hotswap_stream.application.log.port import LogRecord, RegistryLog
from hotswap_stream.application.log.side_reading import SideReading
from hotswap_stream.application.registry.fold import RegistryFold, Void
from hotswap_stream.application.registry.follower import RegistryFollower
from hotswap_stream.application.registry.tail import TailEntry

PAGE_ENTRIES_MAX = 1_000
SCANNED_RECORDS_MAX = 10_000
"""Records looked through for one page; a filter that matches little ends the page there, and the next one goes on."""
BACKWARDS_RECORDS = 500
"""Read first where a page is looked for backwards; then twice as many each time."""
SCANNED_BYTES_MAX = 16 * 1024**2
"""Bytes of those records; the page ends after the one that passes this limit."""

RECORDS_AT_ONCE = 20
"""Then others in the process have their turn."""
OLD_PAGES_AT_ONCE_MAX = 8
"""Pages that are read from the log; more wait."""

UNREADABLE_TEXT_CHARACTERS_MAX = 200


class LogEntry(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One record of the log, for people."""

    offset: int
    appended_at: datetime
    """By the log's clock."""
    event: dict[str, Any] | None = None
    """The CloudEvent as it is stored; None if the record is not one."""
    described: str | None = None
    """What the event says happened, in a few words, without who and when and why; None where it cannot be read."""
    void_because: str | None = None
    """Why no reader counts it; None for an event that counts."""
    void_kind: Literal["conflict", "unreadable", "contradiction"] | None = None
    """`conflict` is part of daily life: another writer came first."""
    unreadable_text: str | None = None
    """The start of a record that is not JSON."""


OTHER_WORDS = {"registered": "trained"}
"""What people call a type of event → the middle of its stored name, where that is older than the word."""


class EntryFilter(Struct, frozen=True, kw_only=True):
    """Which entries a page holds; None takes all."""

    model_name: str | None = None
    event_type: str | None = None
    """A stored type name (`hotswap.model.promoted.v1`) or its middle (`promoted`), or one of `OTHER_WORDS`."""

    actor: str | None = None
    """Who did it."""
    text: str | None = None
    """Anywhere in the event, in capitals or not."""
    void: bool | None = None
    """True: only what counts for no reader; False: only what counts."""

    def takes(self, entry: LogEntry) -> bool:
        """Return whether the entry is wanted. What is not an event is of no model, no type and no actor."""
        event = entry.event or {}
        if self.model_name is not None and event.get("subject") != self.model_name:
            return False
        if self.actor is not None and event.get("actor") != self.actor:
            return False
        if self.void is not None and self.void != (entry.void_because is not None):
            return False
        return self._takes_type(event) and self._takes_text(entry)

    def _takes_type(self, event: dict[str, Any]) -> bool:
        if self.event_type is None:
            return True
        stored = str(event.get("type", ""))
        middle = OTHER_WORDS.get(self.event_type, self.event_type)
        return self.event_type == stored or stored.split(".")[2:3] == [middle]

    def _takes_text(self, entry: LogEntry) -> bool:
        if self.text is None:
            return True
        words = msgspec.json.encode(entry.event).decode() if entry.event is not None else entry.unreadable_text or ""
        return self.text.casefold() in words.casefold()


class EventPage(Struct, frozen=True, kw_only=True, gc=False):
    """Entries in log order."""

    entries: tuple[LogEntry, ...]
    first_offset: int
    """From where on it was looked: the page before this one ends there."""
    next_offset: int
    """Where the page after this one starts."""
    end_offset: int
    """The offset that the log's next record will get, as far as this process has read it."""

    @property
    def at_end(self) -> bool:
        """Whether nothing comes after this page yet."""
        return self.next_offset >= self.end_offset


class EventFeed:
    """Pages of the log of a started `Registry`: the newest records from its memory, older ones from the log.

    Which records are void is known from the fold. Records that were folded before this feed was made and have left the
    registry's memory are folded once more, the first time they are asked for, if any of them is void. With `aside` the
    log is read in the side loop.
    """

    def __init__(self, registry: RegistryFollower, aside: SideReading | None = None) -> None:
        self._registry = registry
        self._aside = aside
        self._old_pages = asyncio.Semaphore(OLD_PAGES_AT_ONCE_MAX)
        self._voids: dict[int, Void] = {}
        for entry in registry.tail:
            self._note(entry)
        missing = registry.fold.void_count - len(self._voids)
        self._complete_from = registry.tail.first_offset or 0 if missing else 0
        self._completing = asyncio.Lock()
        self._stop_listening = registry.listen(self._note)

    def close(self) -> None:
        """Stop listening to the registry."""
        self._stop_listening()

    @property
    def end_offset(self) -> int:
        """The offset that the log's next record will get, as far as the registry has read it."""
        return self._registry.fold.next_offset

    @property
    def memory_starts_at(self) -> int:
        """The first offset that is served without asking the log."""
        first = self._registry.tail.first_offset
        return self.end_offset if first is None else first

    async def page(
        self, from_offset: int, *, limit: int = PAGE_ENTRIES_MAX, wanted: EntryFilter | None = None
    ) -> EventPage:
        """Return a page of the log.

        Args:
            from_offset: The offset to look from; below 0 counts as 0.
            limit: At most this many entries, from 1 to `PAGE_ENTRIES_MAX`.
            wanted: Which entries to take; None takes all.

        Raises:
            LogUnavailableError: Older records cannot be read.
        """
        wanted = wanted or EntryFilter()
        limit = max(1, min(limit, PAGE_ENTRIES_MAX))
        position = max(0, from_offset)
        end = self.end_offset
        scan_end = min(end, position + SCANNED_RECORDS_MAX)
        if position < self._complete_from:
            await self._complete()
        if position >= self.memory_starts_at:
            newest = [entry.record for entry in self._registry.tail.since(position) if entry.record.offset < scan_end]
            entries, position = await self._wanted(_given(newest), position, scan_end, limit, wanted)
        else:
            async with self._old_pages:
                entries, position = await self._old(position, scan_end, limit, wanted)
        first = min(max(0, from_offset), end)
        return EventPage(entries=tuple(entries), first_offset=first, next_offset=position, end_offset=end)

    async def page_before(
        self, before_offset: int, *, limit: int = PAGE_ENTRIES_MAX, wanted: EntryFilter | None = None
    ) -> EventPage:
        """Return the last entries before an offset, in log order. The arguments are those of `page`.

        Raises:
            LogUnavailableError: Older records cannot be read.
        """
        limit = max(1, min(limit, PAGE_ENTRIES_MAX))
        before = start = max(0, min(before_offset, self.end_offset))
        found: list[LogEntry] = []
        small, at_once = True, BACKWARDS_RECORDS
        while start > 0 and len(found) < limit and before - start < SCANNED_RECORDS_MAX and small:
            end, start = start, max(0, start - at_once, before - SCANNED_RECORDS_MAX)
            at_once *= 2
            pages = [page async for page in self._between(start, end, wanted)]
            found = [entry for page in pages for entry in page.entries if entry.offset < end] + found
            small = len(pages) == 1
        if len(found) > limit:
            found = found[-limit:]
            start = found[0].offset
        return EventPage(entries=tuple(found), first_offset=start, next_offset=before, end_offset=self.end_offset)

    async def _between(self, start: int, end: int, wanted: EntryFilter | None) -> AsyncGenerator[EventPage, None]:
        """Yield the pages of a piece of the log: one, unless its records are large."""
        while start < end:
            page = await self.page(start, limit=end - start, wanted=wanted)
            yield page
            start = page.next_offset

    async def _old(self, start: int, end: int, limit: int, wanted: EntryFilter) -> tuple[list[LogEntry], int]:
        async def read(log: RegistryLog) -> tuple[list[LogEntry], int]:
            return await self._wanted(_records(log, start, end), start, end, limit, wanted)

        return await (read(self._registry.log) if self._aside is None else self._aside.run(read))

    async def _wanted(
        self, records: AsyncGenerator[LogRecord, None], start: int, end: int, limit: int, wanted: EntryFilter
    ) -> tuple[list[LogEntry], int]:
        """Return at most `limit` entries, and where to go on."""
        entries: list[LogEntry] = []
        position = looked_at = start
        looked_at_bytes = 0
        async with aclosing(records):
            async for record in records:
                position = record.offset + 1
                entry = self.entry(record)
                if wanted.takes(entry):
                    entries.append(entry)
                    if len(entries) == limit:
                        return entries, position
                looked_at_bytes += len(record.value or b"")
                if looked_at_bytes > SCANNED_BYTES_MAX:
                    return entries, position
                looked_at += 1
                if looked_at % RECORDS_AT_ONCE == 0:
                    await asyncio.sleep(0)
        return entries, max(position, end)

    def _note(self, entry: TailEntry) -> None:
        if isinstance(entry.outcome, Void):
            self._voids[entry.record.offset] = entry.outcome

    async def _complete(self) -> None:
        async with self._completing:
            end = self._complete_from
            if self._aside is None:
                voids = await _voids(self._registry.log, end)
            else:
                voids = await self._aside.run(lambda log: _voids(log, end))
            self._voids.update(voids)
            self._complete_from = 0

    def entry(self, record: LogRecord) -> LogEntry:
        """Return a record that was folded, as entries show it."""
        event: dict[str, Any] | None = None
        text: str | None = None
        try:
            event = msgspec.json.decode(record.value or b"", type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            text = (record.value or b"").decode(errors="replace")[:UNREADABLE_TEXT_CHARACTERS_MAX]
        void = self._voids.get(record.offset)
        return LogEntry(
            offset=record.offset,
            appended_at=datetime.fromtimestamp(record.timestamp_ms / 1000, UTC),
            event=event,
            described=described(record.value or b""),
            void_because=None if void is None else void.reason,
            void_kind=None if void is None else void.kind,
            unreadable_text=text,
        )


async def _given(records: list[LogRecord]) -> AsyncGenerator[LogRecord, None]:
    for record in records:
        yield record


async def _records(log: RegistryLog, start: int, end: int) -> AsyncGenerator[LogRecord, None]:
    async for page in log.read(start, end):
        for record in page:
            yield record


async def _voids(log: RegistryLog, end: int) -> dict[int, Void]:
    """Return the void records before `end`, by offset."""
    fold, voids = RegistryFold(), {}
    async with aclosing(_records(log, 0, end)) as records:
        async for record in records:
            outcome = fold.apply(record)
            if isinstance(outcome, Void):
                voids[record.offset] = outcome
            if record.offset % RECORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
    return voids
