"""A registry log in memory: for tests and for trying policies; any number of writers on one event loop may share it."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence

from hotswap_stream.application.clock import Clock
from hotswap_stream.application.log.port import HELD_BACK_SECONDS, LogPage, LogRecord
from hotswap_stream.errors import DecisionTooLargeError, LogUnavailableError

BATCH_BYTES_MAX = 1_000_000
PAGE_RECORDS_MAX = 500


class MemoryRegistry:
    """The records themselves; several `MemoryRegistryLog`s may share them, as several processes share a topic."""

    def __init__(self, clock: Clock) -> None:
        self.records: list[LogRecord] = []
        self.clock = clock
        self.grown = asyncio.Event()


class MemoryRegistryLog:
    """One process's access to a `MemoryRegistry`."""

    def __init__(self, shared: MemoryRegistry, *, reads_only: bool = False) -> None:
        self._shared = shared
        self._reads_only = reads_only
        self._running = False

    async def start(self) -> None:
        """See RegistryLog."""
        self._running = True

    async def stop(self) -> None:
        """See RegistryLog."""
        self._running = False
        if not self._reads_only:  # those who wait are of another event loop
            self._wake()

    async def append(self, key: bytes, values: Sequence[bytes]) -> int:
        """See RegistryLog."""
        self._check()
        if self._reads_only:
            raise LogUnavailableError("this access to the log only reads")
        size_bytes = sum(len(value) for value in values)
        if size_bytes > BATCH_BYTES_MAX:
            raise DecisionTooLargeError(f"{size_bytes} bytes of events; a batch holds at most {BATCH_BYTES_MAX}")
        records = self._shared.records
        first_offset = len(records)
        timestamp_ms = int(self._shared.clock.now().timestamp() * 1000)
        if records:
            timestamp_ms = max(timestamp_ms, records[-1].timestamp_ms)
        records.extend(LogRecord(first_offset + index, timestamp_ms, key, value) for index, value in enumerate(values))
        self._wake()
        return first_offset

    async def end_offset(self) -> int:
        """See RegistryLog."""
        self._check()
        return len(self._shared.records)

    async def offset_at(self, timestamp_ms: int) -> int:
        """See RegistryLog."""
        self._check()
        return bisect_right(self._shared.records, timestamp_ms, key=lambda record: record.timestamp_ms)

    async def read(self, start_offset: int, end_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """See RegistryLog."""
        self._check()
        end = min(end_offset, len(self._shared.records))
        for start in range(max(0, start_offset), end, PAGE_RECORDS_MAX):
            self._check()
            yield self._shared.records[start : min(end, start + PAGE_RECORDS_MAX)]

    def reader(self) -> "MemoryRegistryLog":
        """See RegistryLog."""
        return MemoryRegistryLog(self._shared, reads_only=True)

    async def follow(self, start_offset: int) -> AsyncIterator[LogPage]:
        """See RegistryLog."""
        self._check()
        position = max(0, start_offset)
        while self._running:
            grown = self._shared.grown
            page = self._shared.records[position : position + PAGE_RECORDS_MAX]
            if page:
                position += len(page)
                yield LogPage(page, position)
            else:
                await grown.wait()

    async def without_records(self, start_offset: int, end_offset: int) -> Sequence[range]:
        """See RegistryLog."""
        del start_offset, end_offset  # nobody writes in transactions here
        self._check()
        return ()

    def obstacle(self, *, seconds_min: float = HELD_BACK_SECONDS) -> str | None:
        """See RegistryLog."""
        del seconds_min
        return None

    def _wake(self) -> None:
        grown, self._shared.grown = self._shared.grown, asyncio.Event()
        grown.set()

    def _check(self) -> None:
        if not self._running:
            raise LogUnavailableError("the log is not started")
