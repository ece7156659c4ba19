"""The answers of one group as msgpack, written once and filled in for each request.

In a group only the outputs' bytes, the request's place, its time in the queue and its id differ. A template is the
encoder's own bytes with marks where these stand, cut there: what comes out is what the encoder would have written.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from hotswap_events.inference.messages import AnswerFacts, InferResponse, InferTensor

_encode = msgspec.msgpack.Encoder().encode

_MARKS = (0xFFFF_FFF1, 0xFFFF_FFF2, 0xFFFF_FFF3)
"""Encoded as CE FF FF FF Fn: no text can hold these bytes, because FF is in no UTF-8."""
_DATA_MARK = b"\xc1" * 32
"""msgpack never writes this byte as a tag, UTF-8 never as a letter, and no number is that long."""
_ID_KEY = _encode("id")
_FOUR_FIELDS, _FIVE_FIELDS = b"\x84", b"\x85"


class AnswerTemplate:
    """Write answers of one version whose outputs have the same shapes.

    `outputs` are those of one answer, without data; `sizes` the bytes that the data of each take; `facts` those of any
    of the answers. Raise ValueError if the encoder's bytes have no such places.
    """

    def __init__(
        self,
        model_name: str,
        model_version: str,
        outputs: Sequence[InferTensor],
        sizes: Sequence[int],
        facts: AnswerFacts,
    ) -> None:
        place, offset, queue = _MARKS
        marked = _encode(
            InferResponse(
                model_name=model_name,
                model_version=model_version,
                outputs=[replace(output, data=msgspec.Raw(_DATA_MARK)) for output in outputs],
                parameters=replace(facts, request_partition=place, request_offset=offset, queue_ms=queue),
            )
        )
        if marked[:1] != _FOUR_FIELDS:
            raise ValueError("an answer has other fields than the template knows")
        *before, rest = marked[1:].split(_DATA_MARK)
        if not before or len(before) != len(sizes):
            raise ValueError("the outputs are not in their places")
        before_data, *self._between = [start + _header_of(size) for start, size in zip(before, sizes, strict=True)]
        self._begin, self._begin_with_id = _FOUR_FIELDS + before_data, _FIVE_FIELDS + before_data
        self._sizes = tuple(sizes)
        parts = []
        for mark in (_encode(number) for number in _MARKS):
            start, found, rest = rest.partition(mark)
            if not found or mark in rest:
                raise ValueError("a mark is not in its place")
            parts.append(start)
        self._before_partition, self._before_offset, self._before_queue = parts
        self._end = rest
        # Of a group many requests have the same partition and have waited as long.
        self._places: dict[int, bytes] = {}
        self._ends: dict[int, bytes] = {}

    def data_of(self, outputs: Sequence[bytes], answers: int) -> tuple[bytes, int]:
        """Return what `fill` takes as data, of all answers one after the other, and how many bytes each has of it.

        Args:
            outputs: The data of each output, of all answers one after the other.
            answers: How many there are.
        """
        if not self._between:
            return outputs[0], self._sizes[0]
        # What stands between the data of two outputs is the same in all answers: it is put there for all at once.
        each = sum(self._sizes) + sum(map(len, self._between))
        joined = np.empty((answers, each), np.uint8)
        start = 0
        for before, data, size in zip((b"", *self._between), outputs, self._sizes, strict=True):
            joined[:, start : start + len(before)] = np.frombuffer(before, np.uint8)
            start += len(before)
            joined[:, start : start + size] = np.frombuffer(data, np.uint8).reshape(answers, size)
            start += size
        return joined.tobytes(), each

    def fill(self, data: bytes, partition: int, offset: int, queue_ms: int, request_id: str | None) -> bytes:
        """Return one answer as msgpack.

        Args:
            data: The answer's part of what `data_of` returned.
            partition: The request's partition.
            offset: The request's offset in it.
            queue_ms: How long the request waited for its forward pass.
            request_id: The request's id, if it has one.
        """
        place = self._places.get(partition)
        if place is None:
            place = self._places[partition] = self._before_partition + _encode(partition) + self._before_offset
        end = self._ends.get(queue_ms)
        if end is None:
            end = self._ends[queue_ms] = self._before_queue + _encode(queue_ms) + self._end
        if request_id is None:
            return b"".join((self._begin, data, place, _encode(offset), end))
        return b"".join((self._begin_with_id, data, place, _encode(offset), end, _ID_KEY, _encode(request_id)))


def _header_of(size: int) -> bytes:
    """Return what msgpack writes before this number of bytes."""
    return _encode(bytes(size))[: -size or None]
