"""What the headers of a request ask for, beside its content type."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference.messages import JSON_CONTENT_TYPE, MSGPACK_CONTENT_TYPE, ErrorCode
from hotswap_stream.workers.inference.requests.records import Headers

ROUTING_KEY_BYTES_MAX = 256
MODEL_VERSION_BYTES_MAX = 63
TRACEPARENT_BYTES_MAX = 128
CORRELATION_BYTES_MAX = 1_024
TOPIC_BYTES_MAX = 249
"""Kafka's own limit for the name of a topic."""

_RAW_OF = {JSON_CONTENT_TYPE.encode(): False, MSGPACK_CONTENT_TYPE.encode(): True}

_ONLY_JSON, _ONLY_MSGPACK = ([(header_names.CONTENT_TYPE, content_type)] for content_type in _RAW_OF)


class ReplyTo(Struct, frozen=True, gc=False):
    """Where Spring's ReplyingKafkaTemplate wants a copy of the answer."""

    topic: str
    partition: int | None


class RequestHeaders(Struct, gc=False):
    """What the headers of a request ask for; filled header by header while they are read."""

    model_name: str | None = None
    model_version: str | None = None
    deadline_ms: int | None = None
    routing_key: str | None = None
    traceparent: bytes | None = None
    correlation_id: bytes | None = None
    reply_topic: str | None = None
    reply_partition: int | None = None
    repeated_id_allowed: bool = False

    @property
    def reply_to(self) -> ReplyTo | None:
        """Where a copy of the answer goes."""
        return None if self.reply_topic is None else ReplyTo(self.reply_topic, self.reply_partition)


class WrongHeaderError(ValueError):
    """A header does not hold what it should; the message says which and what would be right."""

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code: ErrorCode = code


def read_headers(headers: Headers) -> tuple[bool, RequestHeaders | None]:
    """Return whether the body is msgpack, and what else is asked for (None: nothing). Raise WrongHeaderError."""
    if not headers:
        return False, None
    # Most requests have nothing but one of these.
    if headers == _ONLY_MSGPACK:
        return True, None
    if headers == _ONLY_JSON:
        return False, None
    raw = False
    found = RequestHeaders()
    for name, value in headers:
        if value is None:
            continue
        if name == header_names.CONTENT_TYPE:
            raw = _content_type(value)
            continue
        read = _READERS.get(name)
        if read is not None:
            read(found, name, value)
    return raw, found


def _content_type(value: bytes) -> bool:
    try:
        content_type = value.decode().split(";", 1)[0].strip().lower()
    except UnicodeDecodeError:
        raise _unreadable(header_names.CONTENT_TYPE, "is not UTF-8") from None
    raw = _RAW_OF.get(content_type.encode())
    if raw is None:
        raise WrongHeaderError(
            "wrong-content-type",
            f"content-type {content_type[:100]!r}; {JSON_CONTENT_TYPE} or {MSGPACK_CONTENT_TYPE} is needed",
        )
    return raw


def _unreadable(name: str, problem: str) -> WrongHeaderError:
    return WrongHeaderError("request-unreadable", f"header {name!r} {problem}")


def _text(name: str, value: bytes, bytes_max: int) -> str:
    if len(value) > bytes_max:
        raise _unreadable(name, f"has {len(value)} bytes; at most {bytes_max} are allowed")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _unreadable(name, "is not UTF-8") from None


def _number(name: str, value: bytes) -> int:
    # isdigit() on bytes takes ASCII digits only, and 16 of them are enough for any time in milliseconds
    if not value.isdigit() or len(value) > 16:
        raise _unreadable(name, f"is {value[:40]!r}; a decimal number is needed")
    return int(value)


def _set_model_name(found: RequestHeaders, name: str, value: bytes) -> None:
    found.model_name = _text(name, value, 256)


def _set_model_version(found: RequestHeaders, name: str, value: bytes) -> None:
    found.model_version = _text(name, value, MODEL_VERSION_BYTES_MAX) or None


def _set_deadline(found: RequestHeaders, name: str, value: bytes) -> None:
    found.deadline_ms = _number(name, value)


def _set_routing_key(found: RequestHeaders, name: str, value: bytes) -> None:
    found.routing_key = _text(name, value, ROUTING_KEY_BYTES_MAX) or None


def _set_traceparent(found: RequestHeaders, _name: str, value: bytes) -> None:
    # Passed on, not understood: one that is too long is left out, as the standard asks of what it cannot parse.
    found.traceparent = value if len(value) <= TRACEPARENT_BYTES_MAX else None


def _set_correlation_id(found: RequestHeaders, name: str, value: bytes) -> None:
    if len(value) > CORRELATION_BYTES_MAX:
        raise _unreadable(name, f"has {len(value)} bytes; at most {CORRELATION_BYTES_MAX} are allowed")
    found.correlation_id = value


def _set_reply_topic(found: RequestHeaders, name: str, value: bytes) -> None:
    found.reply_topic = _text(name, value, TOPIC_BYTES_MAX)


def _set_reply_partition(found: RequestHeaders, name: str, value: bytes) -> None:
    # Spring writes a Java int: four bytes, big-endian
    if len(value) != 4:
        raise _unreadable(name, f"has {len(value)} bytes; a partition is four bytes, big-endian")
    found.reply_partition = int.from_bytes(value, "big", signed=True)


def _set_repeated_id(found: RequestHeaders, _name: str, value: bytes) -> None:
    found.repeated_id_allowed = value == b"allowed"


_READERS: dict[str, Callable[[RequestHeaders, str, bytes], Any]] = {
    header_names.MODEL_NAME: _set_model_name,
    header_names.MLSERVER_MODEL: _set_model_name,
    header_names.MODEL_VERSION: _set_model_version,
    header_names.MLSERVER_VERSION: _set_model_version,
    header_names.DEADLINE: _set_deadline,
    header_names.ROUTING_KEY: _set_routing_key,
    header_names.TRACEPARENT: _set_traceparent,
    header_names.SPRING_CORRELATION_ID: _set_correlation_id,
    header_names.SPRING_REPLY_TOPIC: _set_reply_topic,
    header_names.SPRING_REPLY_PARTITION: _set_reply_partition,
    header_names.REPEATED_ID: _set_repeated_id,
}
