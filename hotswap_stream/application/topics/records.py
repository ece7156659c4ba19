"""Records as agents see them: one that came in, one that goes out, and the port that sends it."""

from typing import Protocol

from msgspec import Struct

Headers = tuple[tuple[str, bytes], ...]


class InboundRecord(Struct, frozen=True, kw_only=True, gc=False):
    """A record as it was read; nothing in it was checked."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Since 1970 UTC, by the producer's clock or the broker's, as the topic is set."""
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class OutboundRecord(Struct, frozen=True, kw_only=True, gc=False):
    """A record to be written; its key chooses the partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Publisher(Protocol):
    """Writes records to topics."""

    async def publish(self, record: OutboundRecord) -> None:
        """Write a record; return once all in-sync replicas have it.

        Raises:
            LogUnavailableError: That cannot be known in time.
        """
        ...
