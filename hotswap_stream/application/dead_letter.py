"""Copies of records that could not be handled, with the cause in the headers."""

from hotswap_events import headers
from hotswap_stream.application.topic_records import InboundRecord, OutboundRecord

DEAD_LETTER_VALUE_BYTES_MAX = 900_000
"""A longer value is cut; the original stays in its topic, named by partition and offset."""

DEAD_LETTER_KEY_BYTES_MAX = 1_000
CAUSE_CHARACTERS_MAX = 1_000
_CONTENT_TYPE_BYTES_MAX = 200


def dead_letter(record: InboundRecord, cause: str, *, topic: str) -> OutboundRecord:
    """The copy to write to `topic`. It always fits into a Kafka record of 1 MiB."""
    return OutboundRecord(
        topic=topic,
        key=None if record.key is None else record.key[:DEAD_LETTER_KEY_BYTES_MAX],
        value=None if record.value is None else record.value[:DEAD_LETTER_VALUE_BYTES_MAX],
        headers=(
            *_content_type(record),
            (headers.DEAD_LETTER_CAUSE, cause[:CAUSE_CHARACTERS_MAX].encode(errors="replace")),
            (headers.ORIGIN_TOPIC, record.topic.encode()),
            (headers.ORIGIN_PARTITION, b"%d" % record.partition),
            (headers.ORIGIN_OFFSET, b"%d" % record.offset),
            (headers.ORIGIN_TIMESTAMP_MS, b"%d" % record.timestamp_ms),
        ),
    )


def _content_type(record: InboundRecord) -> tuple[tuple[str, bytes], ...]:
    for name, value in record.headers:
        if name == headers.CONTENT_TYPE and len(value) <= _CONTENT_TYPE_BYTES_MAX:
            return ((name, value),)
    return ()
