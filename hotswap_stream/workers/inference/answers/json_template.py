"""The answers of one group as JSON, written once and filled in for each request: see `AnswerTemplate`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from hotswap_events.inference.messages import AnswerFacts, InferResponse, InferTensor
from hotswap_stream.workers.inference.requests.tensors import Array

_encode = msgspec.json.Encoder().encode

_PLACE, _OFFSET, _QUEUE, _DATA = b"\x01", b"\x02", b"\x03", b"\x04"
"""No text in JSON holds these bytes: they are escaped there."""


class JsonAnswerTemplate:
    """Write answers of one version, of one row each.

    `outputs` are those of one answer, without data; `facts` those of any of the answers.
    """

    def __init__(self, model_name: str, model_version: str, outputs: Sequence[InferTensor], facts: AnswerFacts) -> None:
        marks: dict[str, Any] = {"request_partition": _PLACE, "request_offset": _OFFSET, "queue_ms": _QUEUE}
        marked = _encode(
            InferResponse(
                model_name=model_name,
                model_version=model_version,
                outputs=[replace(output, data=msgspec.Raw(_DATA)) for output in outputs],
                parameters=replace(facts, **{field: msgspec.Raw(mark) for field, mark in marks.items()}),
            )
        )
        self._before, *between = marked.split(_DATA)
        after = between.pop()
        self._before += b"["
        self._between = [b"]" + each + b"[" for each in between]
        before_place, after = after.split(_PLACE)
        self._before_place = b"]" + before_place
        self._before_offset, after = after.split(_OFFSET)
        self._before_queue, self._end = after.split(_QUEUE)
        # Of a group many requests have the same partition and have waited as long.
        self._places: dict[int, bytes] = {}
        self._ends: dict[int, bytes] = {}

    def data_of(self, outputs: Sequence[Array], answers: int) -> list[bytes]:
        """Return what `fill` takes as data, of each answer.

        Args:
            outputs: Each output, with a row for each answer.
            answers: How many there are.
        """
        texts = [_encode(array[:answers].reshape(answers, -1).tolist())[2:-2].split(b"],[") for array in outputs]
        if not self._between:
            return texts[0]
        joined = []
        for first, *others in zip(*texts, strict=True):
            parts = [first]
            for between, text in zip(self._between, others, strict=True):
                parts += (between, text)
            joined.append(b"".join(parts))
        return joined

    def fill(self, data: bytes, partition: int, offset: int, queue_ms: int, request_id: str | None) -> bytes:
        """Return one answer as JSON. The arguments are those of `AnswerTemplate.fill`."""
        place = self._places.get(partition)
        if place is None:
            place = self._places[partition] = b"%b%d%b" % (self._before_place, partition, self._before_offset)
        end = self._ends.get(queue_ms)
        if end is None:
            end = self._ends[queue_ms] = b"%b%d%b" % (self._before_queue, queue_ms, self._end)
        if request_id is None:
            return b"%b%b%b%d%b" % (self._before, data, place, offset, end)
        # `id` is the last field, and the last byte closes the answer.
        return b'%b%b%b%d%b,"id":%b}' % (self._before, data, place, offset, end[:-1], _encode(request_id))
