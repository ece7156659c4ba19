"""The port to the registry log: an append-only, totally ordered sequence of records."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

HELD_BACK_SECONDS = 5.0
"""How long an open transaction may hold the log back before that is told of: most end at once."""


class LogRecord(Struct, frozen=True, gc=False):
    """One record of the log, as stored."""

    offset: int
    timestamp_ms: int
    """When it was appended, by the log's clock, ms since 1970 UTC."""
    key: bytes | None
    value: bytes | None


class LogPage(Struct, frozen=True, gc=False):
    """Records that follow each other in the log; none where only offsets without a record were passed."""

    records: Sequence[LogRecord]
    next_offset: int
    """Where the next page begins. An offset before it that has no record here has none for any reader: a transaction
    left a marker there, or records that it took back."""


class RegistryLog(Protocol):
    """What every registry log does; the contract suite runs against each implementation.

    All but `start` and `stop` raise LogUnavailableError before the start, after the stop, and when the log is out of
    reach.
    """

    async def start(self) -> None:
        """Connect.

        Raises:
            LogUnavailableError: It cannot.
        """

    async def stop(self) -> None:
        """Disconnect; ends every `follow`."""

    async def append(self, key: bytes, values: Sequence[bytes]) -> int:
        """Append all values as one batch that nothing can come between.

        Args:
            key: The key of all records.
            values: Their values, in order; at least one.

        Returns:
            The first value's offset.

        Raises:
            DecisionTooLargeError: The batch is too large for the log.
            LogUnavailableError: It was certainly not written.
            AppendOutcomeUnknownError: It may have been written.
        """
        ...

    async def end_offset(self) -> int:
        """Return the offset up to which the log can be read now.

        The next record gets it or, where a transaction is open or leaves a marker, the one after it.
        """
        ...

    async def offset_at(self, timestamp_ms: int) -> int:
        """The first offset appended after `timestamp_ms`: the state as of that time is the fold of all before it."""
        ...

    def read(self, start_offset: int, end_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Read records from `start_offset` up to, not including, `end_offset` or the log's end, in pages."""
        ...

    def reader(self) -> "RegistryLog":
        """Make one more access to the same records, not started, only to read, for any one event loop."""
        ...

    def follow(self, start_offset: int) -> AsyncIterator[LogPage]:
        """Yield records from `start_offset` on, as they come, until the log is stopped. Each page takes it further."""
        ...

    async def without_records(self, start_offset: int, end_offset: int) -> Sequence[range]:
        """Return those of these offsets, in order, that hold no record because of a transaction.

        It left its marker there, or took the record back. What else is missing is not among them.
        """
        ...

    def obstacle(self, *, seconds_min: float = HELD_BACK_SECONDS) -> str | None:
        """Return what has kept a `follow` from reading on for `seconds_min` though there is more; None: nothing."""
        ...
