"""What an answer's record says to those who look it up; nothing in a record can make it fail."""

from typing import TypeAlias

import msgspec
from aiokafka import ConsumerRecord
from msgspec import Struct

from hotswap_events.inference.answers import AnswerHeaders
from hotswap_events.inference.messages import AnswerFacts, InferTensor
from hotswap_stream.adapters.kafka.observations.first_output import first_values, label_in, numbers_in, ranking_in
from hotswap_stream.application.observations.feedback import FoundAnswer

ERROR_CHARACTERS_MAX = 500

Record: TypeAlias = "ConsumerRecord[bytes, bytes]"


class _Body(Struct, kw_only=True):
    parameters: AnswerFacts
    model_version: str | None = None
    outputs: list[InferTensor] = []
    id: str | None = None
    error_code: str | None = None
    error: str | None = None


_DECODERS: dict[bool, msgspec.msgpack.Decoder[_Body] | msgspec.json.Decoder[_Body]] = {
    True: msgspec.msgpack.Decoder(_Body),
    False: msgspec.json.Decoder(_Body),
}


def found_answer(record: Record, headers: AnswerHeaders, *, contents: bool = True) -> FoundAnswer | None:
    """Return the answer in a record with these headers; None if its body is no answer's.

    Args:
        record: As it was consumed.
        headers: Of the record.
        contents: Whether its numbers and what it ranks are wanted, which may take some kilobytes.
    """
    if record.value is None:
        return None
    try:
        body = _DECODERS[headers.raw].decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # the last: lists in lists in lists
        return None
    facts = body.parameters
    first = body.outputs[0] if body.outputs else None
    values = [] if first is None else first_values(first, contents=contents)
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
        artifact_digest=facts.artifact_digest,
        request_id=body.id,
        error_code=body.error_code,
        error=None if body.error is None else body.error[:ERROR_CHARACTERS_MAX],
        window=facts.window,
        label=None if first is None else label_in(first, values),
        numbers=() if first is None or not contents else numbers_in(first, values),
        ranking=None if first is None or not contents else ranking_in(first, values),
    )
