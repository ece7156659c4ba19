"""Which log this is, and how far it was seen: so that another one in its place is not taken for it.

A log is known by its first record: a beginning with a random id, or what an older release wrote first, whose id and
time no other log has. Records never go away and the end never goes back, so a log that ends before what was seen of it
has lost some.
"""

from datetime import UTC, datetime
from typing import Protocol

from msgspec import Struct

from hotswap_events.codec import digest_of
from hotswap_stream.application.log.port import LogRecord, RegistryLog
from hotswap_stream.errors import LogReplacedError

DIGEST_CHARACTERS_SHOWN = 12
WAY_OUT = (
    "If that is meant, say so with `hotswap-stream registry accept`; else see that HOTSWAP_KAFKA_BOOTSTRAP_SERVERS and "
    "HOTSWAP_TOPIC_PREFIX name the right log, or restore it"
)


class SeenLog(Struct, frozen=True, kw_only=True):
    """A log as somebody saw it."""

    identity: str
    """SHA-256 of the value bytes of its first record, hex."""
    began_ms: int
    """When that record was appended, by the log's clock, ms since 1970 UTC."""
    next_offset: int
    """All records before it were read."""

    def __str__(self) -> str:
        began = datetime.fromtimestamp(self.began_ms / 1000, UTC).isoformat(" ", "seconds").replace("+00:00", "Z")
        records = "1 record" if self.next_offset == 1 else f"{self.next_offset} records"
        return f"the log {self.identity[:DIGEST_CHARACTERS_SHOWN]} that began at {began}, with {records}"


class LogMemory(Protocol):
    """Where a process remembers the log from one start to the next."""

    def recall(self) -> SeenLog | None:
        """Return what was remembered; None: nothing, or nothing that reads."""
        ...

    def remember(self, seen: SeenLog) -> None:
        """Remember it in place of what was. Never raises: who cannot remember says so once."""


def seen_from(record: LogRecord, next_offset: int) -> SeenLog:
    """Return the log whose first record this is."""
    return SeenLog(
        identity=digest_of(record.value or b""), began_ms=record.timestamp_ms, next_offset=max(1, next_offset)
    )


async def look_at(log: RegistryLog) -> SeenLog | None:
    """Return the log as it is now; None while it is empty.

    Raises:
        LogUnavailableError: It cannot be read.
    """
    end = await log.end_offset()
    # The first record need not stand at offset 0: a transaction leaves offsets without one.
    async for page in log.read(0, end):
        return seen_from(page[0], end)
    return None


def check_seen(seen: SeenLog, there: SeenLog | None) -> None:
    """Compare a log with the one that was seen.

    Args:
        seen: The log as it was seen.
        there: The log as it is now; None while it is empty.

    Raises:
        LogReplacedError: It is another log, or shorter.
    """
    if there is None:
        raise replaced(seen, "it is empty")
    if there.identity != seen.identity:
        raise replaced(seen, f"there is {there}")
    if there.next_offset < seen.next_offset:
        raise shorter(seen, there.next_offset)


def replaced(seen: SeenLog, what_is: str) -> LogReplacedError:
    """Return the error for a log that is another one, or empty."""
    return LogReplacedError(f"the registry log is not the one that was seen: seen was {seen}; {what_is}. {WAY_OUT}")


def shorter(seen: SeenLog, next_offset: int) -> LogReplacedError:
    """Return the error for a log that lost its end."""
    return LogReplacedError(
        f"records of the registry log are gone: seen was {seen}; it ends before offset {next_offset} now. {WAY_OUT}"
    )
