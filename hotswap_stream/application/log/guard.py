"""Notices, while the log is followed, that another one stands in its place or that its end went back.

A follower alone does not: on a topic that was deleted it waits, and on one that was made again and has grown past its
place it reads on.
"""

import asyncio
from time import monotonic

import structlog

from hotswap_stream.application.log.identity import (
    LogMemory,
    SeenLog,
    check_seen,
    look_at,
    replaced,
    seen_from,
    shorter,
)
from hotswap_stream.application.log.port import LogRecord, RegistryLog
from hotswap_stream.errors import LogReplacedError, LogUnavailableError

_log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
REMEMBER_SECONDS = 1.0
DOUBTS_MAX = 3
DOUBT_SECONDS = 0.5
"""A leader that has just taken over may not know its end for a moment: what is condemned was asked for several
times."""


class LogGuard:
    """Watches the log of one follower. `memory`: what earlier processes saw; None remembers nothing."""

    def __init__(self, log: RegistryLog, memory: LogMemory | None = None) -> None:
        self._log = log
        self._memory = memory
        self._remembered: SeenLog | None = None
        self._first: SeenLog | None = None
        self._next_offset = 0
        self._written_s = -REMEMBER_SECONDS

    @property
    def seen(self) -> SeenLog | None:
        """The log that is followed, as far as it was read; None before its first record was."""
        return None if self._first is None else self._seen(self._first)

    async def begin(self) -> int:
        """Return the log's end, before the first record is read.

        Raises:
            LogReplacedError: What was remembered cannot be there.
        """
        # Recalled first: another process may read further, and remember it, at any moment.
        seen = self._remembered = None if self._memory is None else self._memory.recall()
        end_offset = await self._log.end_offset()
        if seen is not None and end_offset == 0:
            raise replaced(seen, "it is empty")
        if seen is not None and end_offset < seen.next_offset:
            # What stands there says more than that it is short.
            check_seen(seen, await look_at(self._log))
            raise shorter(seen, end_offset)
        return end_offset

    def read(self, record: LogRecord) -> None:
        """Take in the first record.

        Raises:
            LogReplacedError: It is not the one that was remembered.
        """
        seen, self._first = self._remembered, seen_from(record, 1)
        if seen is not None and seen.identity != self._first.identity:
            raise replaced(seen, f"there is {self._first}")

    def read_to(self, next_offset: int) -> None:
        """Take in that all records before this offset were read; remembered about once a second."""
        self._next_offset = next_offset
        if monotonic() - self._written_s >= REMEMBER_SECONDS:
            self.remember()

    def remember(self) -> None:
        """Keep how far the log was read, unless another log was remembered since: somebody accepted that one."""
        self._written_s = monotonic()
        if self._memory is None or self._first is None or self._next_offset == 0:
            return
        before = self._memory.recall()
        if before is not None and (before.identity != self._first.identity or before.next_offset >= self._next_offset):
            return
        self._memory.remember(self._seen(self._first))

    async def check(self, *, appended: bool = False) -> None:
        """Ask the log whether it still is the one that is followed.

        Asks the log's clock and its end, no record: what stands in a log's place began later.

        Args:
            appended: A record was just appended behind all that was read: where the log ends need not be asked.

        Raises:
            LogReplacedError: It is another one, or ends before what was read of it.
            LogUnavailableError: It cannot be asked.
        """
        first = self._first
        if first is None:
            return
        for doubt in range(DOUBTS_MAX):
            if appended and not doubt and await self._log.offset_at(first.began_ms) > 0:
                return
            next_offset = self._next_offset
            end, after_first = await asyncio.gather(self._log.end_offset(), self._log.offset_at(first.began_ms))
            began_by_then = after_first > 0
            if began_by_then and end >= next_offset:
                return
            if doubt + 1 < DOUBTS_MAX:
                await asyncio.sleep(DOUBT_SECONDS)
        if end == 0:
            raise replaced(self._seen(first), "it is empty")
        if not began_by_then:
            raise replaced(self._seen(first), "what is there began later")
        raise shorter(self._seen(first), end)

    def overtaken(self, offset: int) -> LogReplacedError:
        """Return the error for a record that was appended where this log has another one."""
        if self._first is None:
            return LogReplacedError(f"the registry log gave offset {offset} twice: it was replaced while it was read")
        return replaced(
            self._seen(self._first), f"a record appended now stands at offset {offset}, where another one was read"
        )

    async def watch(self) -> None:
        """Check about every `LOOK_SECONDS`, until the log is another one.

        Raises:
            LogReplacedError: The log is another one.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.check()
            except LogReplacedError:
                raise
            except LogUnavailableError as error:
                _log.warning("registry_log_not_looked_at", cause=str(error))

    def _seen(self, first: SeenLog) -> SeenLog:
        return SeenLog(identity=first.identity, began_ms=first.began_ms, next_offset=max(1, self._next_offset))
