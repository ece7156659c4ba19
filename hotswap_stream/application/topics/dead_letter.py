"""Copies of records that could not be handled, with the cause in the headers. The only place that makes them."""

from collections.abc import Sequence
from typing import Protocol

from hotswap_events import headers
from hotswap_stream.application.topics.records import Headers, OutboundRecord

DEAD_LETTER_VALUE_BYTES_MAX = 900_000
"""A longer value is cut; the original stays in its topic, named by partition and offset."""

DEAD_LETTER_KEY_BYTES_MAX = 1_000
CAUSE_CHARACTERS_MAX = 1_000
_CONTENT_TYPE_BYTES_MAX = 200


class DeadRecord(Protocol):
    """A record as it was read; nothing in it was checked."""

    @property
    def topic(self) -> str:
        """Where it was read."""
        ...

    @property
    def partition(self) -> int:
        """Its partition there."""
        ...

    @property
    def offset(self) -> int:
        """Its offset there."""
        ...

    @property
    def timestamp_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its value."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Its headers, in order."""
        ...


def dead_letter(record: DeadRecord, cause: str, *, topic: str) -> OutboundRecord:
    """Return the copy to write to `topic`; it fits into a Kafka record of 1 MiB, whatever the record holds."""
    return OutboundRecord(
        topic=topic,
        key=None if record.key is None else record.key[:DEAD_LETTER_KEY_BYTES_MAX],
        value=None if record.value is None else record.value[:DEAD_LETTER_VALUE_BYTES_MAX],
        headers=(*_content_type(record), *_origin(record, cause)),
    )


def smallest_dead_letter(record: DeadRecord, cause: str, *, topic: str) -> OutboundRecord:
    """Return the copy for a topic that did not take the other one: which record it was, and the cause."""
    return OutboundRecord(topic=topic, key=b"%d" % record.partition, value=b"", headers=_origin(record, cause))


def _origin(record: DeadRecord, cause: str) -> Headers:
    return (
        (headers.DEAD_LETTER_CAUSE, cause[:CAUSE_CHARACTERS_MAX].encode(errors="replace")),
        (headers.ORIGIN_TOPIC, record.topic.encode()),
        (headers.ORIGIN_PARTITION, b"%d" % record.partition),
        (headers.ORIGIN_OFFSET, b"%d" % record.offset),
        (headers.ORIGIN_TIMESTAMP_MS, b"%d" % record.timestamp_ms),
    )


def _content_type(record: DeadRecord) -> Headers:
    for name, value in record.headers:
        if name == headers.CONTENT_TYPE and value is not None and len(value) <= _CONTENT_TYPE_BYTES_MAX:
            return ((name, value),)
    return ()
