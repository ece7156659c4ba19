"""The registry log as pages of readable entries, each marked void or not: for people, dashboards and live streams."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

import msgspec
from msgspec import Struct

from hotswap_stream.application.registry import Registry, TailEntry
from hotswap_stream.application.registry_fold import RegistryFold, Void
from hotswap_stream.application.registry_log import LogRecord

PAGE_ENTRIES_MAX = 1_000
SCANNED_RECORDS_MAX = 10_000
"""Records looked through for one page; a filter that matches little ends the page there, and the next one goes on."""

UNREADABLE_TEXT_CHARACTERS_MAX = 200


class LogEntry(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One record of the log, for people."""

    offset: int
    appended_at: datetime
    """By the log's clock."""
    event: dict[str, Any] | None = None
    """The CloudEvent as it is stored; None if the record is not one."""
    void_because: str | None = None
    """Why no reader counts it; None for an event that counts."""
    void_kind: Literal["conflict", "unreadable", "contradiction"] | None = None
    """`conflict` is part of daily life: another writer came first."""
    unreadable_text: str | None = None
    """The start of a record that is not JSON."""


class EntryFilter(Struct, frozen=True, kw_only=True):
    """Which entries a page holds; None takes all."""

    model_name: str | None = None
    event_type: str | None = None
    """A stored type name (`hotswap.model.promoted.v1`) or its middle (`promoted`)."""

    def takes(self, entry: LogEntry) -> bool:
        """Whether the entry is wanted. What is not an event matches no filter."""
        if self.model_name is None and self.event_type is None:
            return True
        event = entry.event or {}
        if self.model_name is not None and event.get("subject") != self.model_name:
            return False
        if self.event_type is None:
            return True
        stored = str(event.get("type", ""))
        return self.event_type == stored or stored.split(".")[2:3] == [self.event_type]


class EventPage(Struct, frozen=True, kw_only=True, gc=False):
    """Entries in log order."""

    entries: tuple[LogEntry, ...]
    next_offset: int
    """Where the page after this one starts."""
    end_offset: int
    """The offset that the log's next record will get, as far as this process has read it."""

    @property
    def at_end(self) -> bool:
        """Whether there is nothing behind this page yet."""
        return self.next_offset >= self.end_offset


class EventFeed:
    """Pages of the log of a started `Registry`: the newest records from its memory, older ones from the log.

    Which records are void is known from the fold. Records that were folded before this feed was made and have left the
    registry's memory are folded once more, the first time they are asked for, if any of them is void.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._voids: dict[int, Void] = {}
        for entry in registry.tail:
            self._note(entry)
        missing = registry.fold.void_count - len(self._voids)
        self._complete_from = registry.tail[0].record.offset if missing and registry.tail else 0
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
        tail = self._registry.tail
        return tail[0].record.offset if tail else self.end_offset

    async def page(
        self, from_offset: int, *, limit: int = PAGE_ENTRIES_MAX, wanted: EntryFilter | None = None
    ) -> EventPage:
        """At most `limit` entries from an offset on. LogUnavailableError when older records cannot be read."""
        wanted = wanted or EntryFilter()
        limit = max(1, min(limit, PAGE_ENTRIES_MAX))
        position = max(0, from_offset)
        end = self.end_offset
        scan_end = min(end, position + SCANNED_RECORDS_MAX)
        if position < self._complete_from:
            await self._complete()
        entries: list[LogEntry] = []
        async with aclosing(self._records(position, scan_end)) as records:
            async for record in records:
                position = record.offset + 1
                entry = self._entry(record)
                if wanted.takes(entry):
                    entries.append(entry)
                    if len(entries) == limit:
                        break
            else:
                position = max(position, scan_end)
        return EventPage(entries=tuple(entries), next_offset=position, end_offset=end)

    async def _records(self, start: int, end: int) -> AsyncGenerator[LogRecord, None]:
        if start >= self.memory_starts_at:
            # Copied first: the deque may move on while the consumer of this generator waits.
            for record in [entry.record for entry in self._newest(start)]:
                if record.offset < end:
                    yield record
            return
        async for page in self._registry.log.read(start, end):
            for record in page:
                yield record

    def _newest(self, start: int) -> list[TailEntry]:
        behind = max(0, self.end_offset - start)
        newest = list(islice(reversed(self._registry.tail), behind))
        return [entry for entry in reversed(newest) if entry.record.offset >= start]

    def _note(self, entry: TailEntry) -> None:
        if isinstance(entry.outcome, Void):
            self._voids[entry.record.offset] = entry.outcome

    async def _complete(self) -> None:
        async with self._completing:
            end = self._complete_from
            fold = RegistryFold()
            async for page in self._registry.log.read(0, end):
                for record in page:
                    outcome = fold.apply(record)
                    if isinstance(outcome, Void):
                        self._voids[record.offset] = outcome
                # Pages may come without waiting for anything; others want the event loop too.
                await asyncio.sleep(0)
            self._complete_from = 0

    def _entry(self, record: LogRecord) -> LogEntry:
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
            void_because=None if void is None else void.reason,
            void_kind=None if void is None else void.kind,
            unreadable_text=text,
        )
