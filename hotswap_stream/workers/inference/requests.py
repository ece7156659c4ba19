"""Records of a request topic → requests, or the reason why a record is none."""

from typing import Any

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from hotswap_events import headers as header_names
from hotswap_events.inference import JSON_CONTENT_TYPE, MSGPACK_CONTENT_TYPE, ErrorCode, InferRequest

_json = msgspec.json.Decoder(InferRequest)
_msgpack = msgspec.msgpack.Decoder(InferRequest)
_json_id = msgspec.json.Decoder(dict[str, msgspec.Raw])

REQUEST_ID_BYTES_MAX = 1_024


class Request(Struct, frozen=True, gc=False):
    """A request with where it came from."""

    record: "ConsumerRecord[Any, Any]"
    body: InferRequest
    raw: bool
    """Answer with raw tensors (msgpack)."""


class Unreadable(Struct, frozen=True, gc=False):
    """A record that cannot be read as a request."""

    record: "ConsumerRecord[Any, Any]"
    code: ErrorCode
    reason: str
    request_id: str | None = None


def read_request(record: "ConsumerRecord[Any, Any]", request_bytes_max: int) -> Request | Unreadable:
    """Decode one record; never raises."""
    value = record.value
    if value is None:
        return Unreadable(record, "request-unreadable", "the record has no value; a request body is needed")
    if len(value) > request_bytes_max:
        return Unreadable(
            record, "too-large", f"the request has {len(value)} bytes; at most {request_bytes_max} are allowed"
        )
    content_type = JSON_CONTENT_TYPE
    try:
        for name, header in record.headers:
            if name == header_names.CONTENT_TYPE and header is not None:
                content_type = header.decode().split(";", 1)[0].strip().lower()
    except UnicodeDecodeError:
        return Unreadable(record, "request-unreadable", f"header {name!r} is not UTF-8")
    if content_type not in (JSON_CONTENT_TYPE, MSGPACK_CONTENT_TYPE):
        return Unreadable(
            record,
            "wrong-content-type",
            f"content-type {content_type[:100]!r}; {JSON_CONTENT_TYPE} or {MSGPACK_CONTENT_TYPE} is needed",
        )
    raw = content_type == MSGPACK_CONTENT_TYPE
    try:
        body = (_msgpack if raw else _json).decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        request_id = None if raw else _id_of(value)
        return Unreadable(record, "request-unreadable", f"not an inference request: {error}", request_id)
    return Request(record, body, raw)


def _id_of(value: bytes) -> str | None:
    """The id of a request that is wrong otherwise, so that its sender can match the error."""
    try:
        text = _json_id.decode(value).get("id")
        if text is None or len(text) > REQUEST_ID_BYTES_MAX:
            return None
        return msgspec.json.decode(text, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
