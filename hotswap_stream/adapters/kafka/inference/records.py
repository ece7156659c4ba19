"""What a request's record holds, where it goes by its key, and what an answer's record says."""

import time
from typing import Any

import msgspec

from hotswap_events import headers as header_names
from hotswap_events.inference.messages import (
    JSON_CONTENT_TYPE,
    MSGPACK_CONTENT_TYPE,
    InferError,
    InferRequest,
    InferResponse,
)
from hotswap_stream.adapters.kafka.inference.correlation import RawAnswer
from hotswap_stream.application.inference.gateway import Beside, InferenceUnavailableError
from hotswap_stream.application.inference.tensor_values import TextResponse
from hotswap_stream.kafka.topic_partitions import key_partition

_JSON, _MSGPACK = JSON_CONTENT_TYPE.encode(), MSGPACK_CONTENT_TYPE.encode()
_json, _msgpack = msgspec.json.Encoder(), msgspec.msgpack.Encoder()
_decoders: dict[tuple[bool, bool], Any] = {
    (False, True): msgspec.json.Decoder(TextResponse),
    (False, False): msgspec.json.Decoder(InferError),
    (True, True): msgspec.msgpack.Decoder(InferResponse),
    (True, False): msgspec.msgpack.Decoder(InferError),
}


def encode_request(request: InferRequest, *, raw: bool) -> tuple[bytes, bytes]:
    """Return a record's value and its content type: msgpack if `raw`, else JSON."""
    return (_msgpack.encode(request), _MSGPACK) if raw else (_json.encode(request), _JSON)


def decode_answer(answer: RawAnswer) -> InferResponse | InferError:
    """Return what an answer's record says; the lists of one in JSON stay text (TextResponse).

    Raises:
        InferenceUnavailableError: It cannot be read.
    """
    try:
        decoded: InferResponse | InferError = _decoders[answer.raw, answer.ok].decode(answer.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InferenceUnavailableError(
            f"the answer at offset {answer.offset} of partition {answer.partition} cannot be read: {error}"
        ) from error
    return decoded


def record_headers(content_type: bytes, beside: Beside, timeout_s: float) -> list[tuple[str, bytes]]:
    """Return the headers of a request's record that is sent now, by this machine's clock."""
    deadline_s = timeout_s if beside.deadline_s is None else beside.deadline_s
    headers = [
        (header_names.CONTENT_TYPE, content_type),
        (header_names.DEADLINE, b"%d" % ((time.time() + deadline_s) * 1_000)),
    ]
    if beside.routing_key is not None:
        headers.append((header_names.ROUTING_KEY, beside.routing_key.encode()))
    if beside.model_version is not None:
        headers.append((header_names.MODEL_VERSION, beside.model_version.encode()))
    if beside.repeated_id_allowed:
        headers.append((header_names.REPEATED_ID, b"allowed"))
    if beside.traceparent is not None:
        headers.append((header_names.TRACEPARENT, beside.traceparent.encode()))
    return headers


def partition_of(key: str, partitions: int) -> int:
    """Return where the default partitioner of Kafka's Java client puts a key."""
    return key_partition(key.encode(), partitions)
