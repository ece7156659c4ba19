"""Records as the hot loop passes them on: plain values, taken out of librdkafka's messages once."""

from collections.abc import Sequence

from confluent_kafka import Message
from msgspec import Struct

Headers = list[tuple[str, bytes | None]]

_NO_HEADERS: Headers = []


class RequestRecord(Struct, frozen=True, gc=False):
    """One record of a request topic. `timestamp_ms`: milliseconds since 1970 UTC, by the producer's clock."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    headers_wrong: str | None = None
    """Why the headers cannot be read; then `headers` is empty."""


def records_of(topic: str, messages: Sequence[Message]) -> list[RequestRecord]:
    """Return the records in messages without errors, in their order."""
    return [record_of(topic, message) for message in messages]


def record_of(topic: str, message: Message) -> RequestRecord:
    """Return the record in a message without an error."""
    try:
        return _with_headers(topic, message, message.headers() or _NO_HEADERS, None)  # type: ignore[arg-type]
    except (UnicodeDecodeError, SystemError):
        # The client leaves its error pending; whatever is called next raises it, here at the latest.
        return _with_headers(topic, message, _NO_HEADERS, "a header's name is not UTF-8")


def _with_headers(topic: str, message: Message, headers: Headers, wrong: str | None) -> RequestRecord:
    return RequestRecord(
        topic,
        message.partition(),  # type: ignore[arg-type]  # a message without an error has partition and offset
        message.offset(),  # type: ignore[arg-type]
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,
        wrong,
    )
