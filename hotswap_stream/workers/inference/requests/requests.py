"""Records of a request topic → requests, or the reason why a record is none."""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.inference.messages import ErrorCode, InferRequest
from hotswap_stream.application.inference.extensions import refused_parameter
from hotswap_stream.workers.inference.requests.headers import RequestHeaders, WrongHeaderError, read_headers
from hotswap_stream.workers.inference.requests.json_bodies import decode_json
from hotswap_stream.workers.inference.requests.records import RequestRecord

_msgpack = msgspec.msgpack.Decoder(InferRequest)
_json_id = msgspec.json.Decoder(dict[str, msgspec.Raw])

REQUEST_ID_BYTES_MAX = 1_024
KEY_BYTES_MAX = 64 * 1024
"""An answer carries its request's key."""


class Request(Struct, frozen=True, gc=False):
    """A request with where it came from."""

    record: RequestRecord
    body: InferRequest
    raw: bool
    """Answer with raw tensors (msgpack)."""
    headers: RequestHeaders | None
    """None: nothing but perhaps a content type."""


class Unreadable(Struct, frozen=True, gc=False):
    """A record that cannot be read as a request."""

    record: RequestRecord
    code: ErrorCode
    reason: str
    request_id: str | None = None
    headers: RequestHeaders | None = None


def read_request(
    record: RequestRecord, request_bytes_max: int, key_bytes_max: int = KEY_BYTES_MAX
) -> Request | Unreadable:
    """Decode one record; never raise. A key that is too long for an answer does not come with the record."""
    value, key = record.value, record.key
    if key is not None and len(key) > key_bytes_max:
        why = f"the record's key has {len(key)} bytes; at most {key_bytes_max} are allowed"
        return Unreadable(replace(record, key=None), "too-large", why)
    if value is None:
        return Unreadable(record, "request-unreadable", "the record has no value; a request body is needed")
    if len(value) > request_bytes_max:
        return Unreadable(
            record, "too-large", f"the request has {len(value)} bytes; at most {request_bytes_max} are allowed"
        )
    if record.headers_wrong is not None:
        return Unreadable(record, "request-unreadable", record.headers_wrong)
    try:
        raw, headers = read_headers(record.headers)
    except WrongHeaderError as error:
        return Unreadable(record, error.code, str(error))
    try:
        body = _msgpack.decode(value) if raw else decode_json(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        request_id = None if raw else _id_of(value)
        return Unreadable(record, "request-unreadable", f"not an inference request: {error}", request_id, headers)
    if body.parameters and (wrong := refused_parameter(body.parameters)):
        return Unreadable(record, "wrong-input", wrong, body.id, headers)
    return Request(record, body, raw, headers)


def _id_of(value: bytes) -> str | None:
    """Return the id of a request that is wrong otherwise, so that its sender can match the error."""
    try:
        text = _json_id.decode(value).get("id")
        if text is None or len(text) > REQUEST_ID_BYTES_MAX:
            return None
        return msgspec.json.decode(text, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
