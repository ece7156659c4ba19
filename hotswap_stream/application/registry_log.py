"""The port to the registry log: an append-only, totally ordered sequence of records."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct


class LogRecord(Struct, frozen=True, gc=False):
    """One record of the log, as stored."""

    offset: int
    timestamp_ms: int
    """When it was appended, by the log's clock, ms since 1970 UTC."""
    key: bytes | None
    value: bytes | None


class RegistryLog(Protocol):
    """What every registry log does; the contract suite runs against each implementation.

    All but `start` and `stop` raise LogUnavailableError before the start, after the stop, and when the log is out of
    reach.
    """

    async def start(self) -> None:
        """Connect. Raises LogUnavailableError when it cannot."""

    async def stop(self) -> None:
        """Disconnect; ends every `follow`."""

    async def append(self, key: bytes, values: Sequence[bytes]) -> int:
        """Append all values as one batch that nothing can come between; returns the first one's offset.

        Raises DecisionTooLargeError, LogUnavailableError (certainly not written), or AppendOutcomeUnknownError.
        """
        ...

    async def end_offset(self) -> int:
        """The offset that the next record will get."""
        ...

    async def offset_at(self, timestamp_ms: int) -> int:
        """The first offset appended after `timestamp_ms`: the state as of that time is the fold of all before it."""
        ...

    def read(self, start_offset: int, end_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Records from `start_offset` up to, not including, `end_offset`, in pages; ends there or at the log's end."""
        ...

    def reader(self) -> "RegistryLog":
        """One more access to the same records, not started, that is only read: to be used in any one event loop."""
        ...

    def follow(self, start_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Records from `start_offset` on, as they come, until the log is stopped. Never yields an empty page."""
        ...
