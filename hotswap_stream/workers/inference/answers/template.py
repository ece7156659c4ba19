"""The answers of one group as msgpack, written once and filled in for each request.

In a group only the output's bytes, the request's place, its time in the queue and its id differ. A template is the
encoder's own bytes with marks where these stand, cut there: what comes out is what the encoder would have written.
"""

import msgspec
from msgspec.structs import replace

from hotswap_events.inference import AnswerFacts, InferResponse, InferTensor

_encode = msgspec.msgpack.Encoder().encode

_MARKS = (0xFFFF_FFF1, 0xFFFF_FFF2, 0xFFFF_FFF3)
"""Encoded as CE FF FF FF Fn: no text can hold these bytes, because FF is in no UTF-8."""
_UNUSED = b"\xc1"
"""The one byte that msgpack never writes as a tag, and UTF-8 never as a letter."""
_ID_KEY = _encode("id")
_FOUR_FIELDS, _FIVE_FIELDS = b"\x84", b"\x85"
SMALL_BYTES_MIN = 32
"""Outputs of fewer bytes could be found in the wrong place: they are not worth a template either."""


class AnswerTemplate:
    """Write answers of one version to requests for its only output, all of the same shape.

    `facts` are those of any of the requests. Raise ValueError if the encoder's bytes have no such places.
    """

    def __init__(
        self, model_name: str, model_version: str, output: InferTensor, output_bytes: int, facts: AnswerFacts
    ) -> None:
        place, offset, queue = _MARKS
        if output_bytes < SMALL_BYTES_MIN:
            raise ValueError(f"an output of {output_bytes} bytes is too small for a template")
        data = _UNUSED * output_bytes
        marked = _encode(
            InferResponse(
                model_name=model_name,
                model_version=model_version,
                outputs=[replace(output, data=data)],
                parameters=replace(facts, request_partition=place, request_offset=offset, queue_ms=queue),
            )
        )
        if marked[:1] != _FOUR_FIELDS:
            raise ValueError("an answer has other fields than the template knows")
        rest = marked[1:]
        parts = []
        for mark in (data, *(_encode(number) for number in _MARKS)):
            before, found, rest = rest.partition(mark)
            if not found or mark in rest:
                raise ValueError("a mark is not in its place")
            parts.append(before)
        self._before_data, self._before_partition, self._before_offset, self._before_queue = parts
        self._end = rest

    def fill(self, data: bytes, partition: int, offset: int, queue_ms: int, request_id: str | None) -> bytes:
        """Return one answer as msgpack.

        Args:
            data: The output's bytes.
            partition: The request's partition.
            offset: The request's offset in it.
            queue_ms: How long the request waited for its forward pass.
            request_id: The request's id, if it has one.
        """
        body = (
            self._before_data,
            data,
            self._before_partition,
            _encode(partition),
            self._before_offset,
            _encode(offset),
            self._before_queue,
            _encode(queue_ms),
            self._end,
        )
        if request_id is None:
            return _FOUR_FIELDS + b"".join(body)
        return b"".join((_FIVE_FIELDS, *body, _ID_KEY, _encode(request_id)))
