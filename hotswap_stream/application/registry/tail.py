"""The newest records of the registry log, each with what the fold made of it, in memory."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import Outcome

TAIL_RECORDS_MAX = 4_096


class TailEntry(Struct, frozen=True, gc=False):
    """A record of the log with what the fold made of it."""

    record: LogRecord
    outcome: Outcome


class Tail:
    """At most the `TAIL_RECORDS_MAX` newest entries, in the log's order."""

    def __init__(self) -> None:
        self._entries: deque[TailEntry] = deque(maxlen=TAIL_RECORDS_MAX)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[TailEntry]:
        return iter(self._entries)

    @property
    def first_offset(self) -> int | None:
        """Offset of the oldest entry; None while there is none."""
        return self._entries[0].record.offset if self._entries else None

    @property
    def newest(self) -> TailEntry | None:
        """The entry of the last record; None while there is none."""
        return self._entries[-1] if self._entries else None

    def add(self, entry: TailEntry) -> None:
        """Take in the log's next record; the oldest one leaves where there is no more room."""
        self._entries.append(entry)

    def at(self, offset: int) -> TailEntry | None:
        """Return the entry of the record at this offset of the log, or None if the record is not held here."""
        place = self._place(offset)
        if place == len(self._entries) or self._entries[place].record.offset != offset:
            return None
        return self._entries[place]

    def since(self, offset: int) -> list[TailEntry]:
        """Return a copy of the entries from this offset of the log on, oldest first."""
        newest = list(islice(reversed(self._entries), len(self._entries) - self._place(offset)))
        newest.reverse()
        return newest

    def _place(self, offset: int) -> int:
        return bisect_left(self._entries, offset, key=lambda entry: entry.record.offset)
