"""What an answer's record says to those who look it up; nothing in a record can make it fail."""

import math
from typing import Any, TypeAlias

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from hotswap_events.answers import AnswerHeaders
from hotswap_events.inference import AnswerFacts, InferTensor
from hotswap_stream.application.inference.tensor_values import flat_values
from hotswap_stream.application.observations.feedback import FoundAnswer

Record: TypeAlias = "ConsumerRecord[bytes, bytes]"


class _Body(Struct, kw_only=True):
    parameters: AnswerFacts
    model_version: str | None = None
    outputs: list[InferTensor] = []
    id: str | None = None


_DECODERS: dict[bool, msgspec.msgpack.Decoder[_Body] | msgspec.json.Decoder[_Body]] = {
    True: msgspec.msgpack.Decoder(_Body),
    False: msgspec.json.Decoder(_Body),
}


def found_answer(record: Record, headers: AnswerHeaders) -> FoundAnswer | None:
    """Return the answer in a record with these headers; None if its body is no answer's."""
    if record.value is None:
        return None
    try:
        body = _DECODERS[headers.raw].decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: lists in lists in lists
        return None
    facts = body.parameters
    return FoundAnswer(
        request_partition=record.partition,
        request_offset=headers.request_offset,
        answered_at_ms=record.timestamp,
        model_version=body.model_version,
        ok=headers.ok,
        registry_offset=facts.registry_offset,
        pinned=facts.pinned,
        fallback_for=facts.fallback_for,
        worker=facts.worker,
        request_id=body.id,
        label=_label(body.outputs),
    )


def _label(outputs: list[InferTensor]) -> int | None:
    """Return the class with the largest score of one row; None where the first output holds no scores."""
    if not outputs:
        return None
    shape = outputs[0].shape
    if len(shape) != 2 or shape[0] != 1 or shape[1] < 2 or not outputs[0].datatype.startswith("FP"):
        return None
    try:
        values = flat_values(outputs[0])
    except (ValueError, TypeError):
        return None
    if len(values) != shape[1] or not all(_is_score(value) for value in values):
        return None
    return max(range(len(values)), key=values.__getitem__)


def _is_score(value: Any) -> bool:
    return type(value) in (int, float) and not math.isnan(value)
