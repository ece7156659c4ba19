"""JSON request bodies, in which most of the time goes into long lists of numbers.

msgspec makes a Python number of each, which is then packed. simdjson reads such a list without that, in less than half
the time. So long lists are cut out of a body and read apart; the rest, which is short, is decoded by msgspec. What is
not as simple as that, and whatever either of the two refuses, is decoded whole by msgspec as if there were no other
way: so all requests are read and refused in the same words, with simdjson or without. It has no wheels for some
versions of Python.
"""

import re
import threading
from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.inference.messages import InferRequest, InferTensor
from hotswap_stream.workers.inference.requests.number_lists import EXACT_BELOW, PACKED_AT_ONCE_MIN, packed_at_once

with_simdjson = True
try:
    import simdjson
except ImportError:
    with_simdjson = False

LIST_BYTES_MIN = 1_024
"""Shorter lists are as quick by msgspec."""
KEPT_PARSER_BYTES_MAX = 1024**2
"""A parser keeps up to some 13 bytes for each byte of the longest list it has read. Longer ones get one of their own,
which takes less than the list of Python numbers would."""

_decode = msgspec.json.Decoder(InferRequest).decode
_LIST_OF_DATA = re.compile(rb'"data"[ \t\n\r]*:[ \t\n\r]*(?=\[)')
_DATA = b'"data"'
_DOUBLE, _LONG = np.dtype("d"), np.dtype("q")
_SURE_BELOW = EXACT_BELOW / 2
"""Rounded to any type these are still below: simdjson's doubles are what Python's floats are."""
_FLOATS: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
_INTEGERS: dict[str, tuple[np.dtype[Any], int, int]] = {
    datatype: (dtype, np.iinfo(dtype).min, np.iinfo(dtype).max)
    for datatype, dtype in (
        ("UINT8", np.dtype("u1")),
        ("UINT16", np.dtype("<u2")),
        ("UINT32", np.dtype("<u4")),
        ("INT8", np.dtype("i1")),
        ("INT16", np.dtype("<i2")),
        ("INT32", np.dtype("<i4")),
        ("INT64", np.dtype("<i8")),
    )
}


class _CutBody(Struct, frozen=True, gc=False):
    """A body without its long lists."""

    rest: bytes
    """An empty list is in place of each."""
    lists: Sequence[tuple[int, bytes]]
    """Each list, and at which of the names `"data"` in the rest it was."""


if with_simdjson:

    class _Kept(threading.local):
        """The parser of a thread: it reads one list after the other, and nothing of a list is kept by then."""

        def __init__(self) -> None:
            self.parser = simdjson.Parser(KEPT_PARSER_BYTES_MAX)

    _kept = _Kept()


def decode_json(body: bytes) -> InferRequest:
    """Decode a request. Long lists of numbers become bytes, as `packed_at_once` says.

    Raises:
        msgspec.DecodeError: It is no request.
        UnicodeDecodeError: Its text is no UTF-8.
        RecursionError: It is nested too deeply.
    """
    if with_simdjson and len(body) > LIST_BYTES_MIN:
        request = _decode_cut(body)
        if request is not None:
            return request
    return packed_at_once(_decode(body))


def _decode_cut(body: bytes) -> InferRequest | None:
    """Decode a request whose long lists are read apart; None: it must be decoded whole."""
    cut = _cut(body)
    if cut is None:
        return None
    try:
        request = _decode(cut.rest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # Each tensor has `data`. Where nothing is escaped, and there are as many of these names as tensors, each name is
    # that of the tensor in its place: none is in a parameter, an unknown field or a text, and none comes twice.
    if b"\\" in cut.rest or cut.rest.count(_DATA) != len(request.inputs):
        return None
    inputs = list(request.inputs)
    for place, text in cut.lists:
        tensor = inputs[place]
        data = _numbers(tensor, text)
        if data is None:
            return None
        inputs[place] = replace(tensor, data=data)
    request = replace(request, inputs=inputs)
    return request if len(cut.lists) == len(inputs) else packed_at_once(request)


def _cut(body: bytes) -> _CutBody | None:
    """Cut the long lists that may be data of tensors out of a body; None if there are none.

    What is cut out goes to the first closing bracket. If that is not the end of a flat list of numbers, simdjson will
    not take it.
    """
    parts: list[bytes] = []
    lists: list[tuple[int, bytes]] = []
    start = position = names = 0
    while (found := _LIST_OF_DATA.search(body, position)) is not None:
        opens = found.end()
        position = body.find(b"]", opens) + 1
        if not position:
            break
        if position - opens < LIST_BYTES_MIN:
            continue
        names += body.count(_DATA, start, opens)
        lists.append((names - 1, body[opens:position]))
        parts += (body[start:opens], b"[]")
        start = position
    return _CutBody(b"".join((*parts, body[start:])), lists) if lists else None


def _numbers(tensor: InferTensor, text: bytes) -> bytes | None:
    """Return a tensor's numbers as little-endian bytes; None: msgspec and numpy must look at them."""
    integer, count = _INTEGERS.get(tensor.datatype), prod(tensor.shape)
    dtype = _FLOATS.get(tensor.datatype) if integer is None else integer[0]
    if dtype is None or tensor.data or count < PACKED_AT_ONCE_MIN:
        return None
    parser = _kept.parser if len(text) <= KEPT_PARSER_BYTES_MAX else simdjson.Parser()
    try:
        numbers = parser.parse(text)
        if not isinstance(numbers, simdjson.Array):
            return None
        # A copy, as is all that leaves this function: the parser is free for the next list.
        content = numbers.as_buffer(of_type="d" if integer is None else "i")
        array = np.frombuffer(content, _DOUBLE if integer is None else _LONG)
    except (ValueError, TypeError, RuntimeError, MemoryError):
        return None
    if len(array) != count:
        return None
    least, most = (-_SURE_BELOW, _SURE_BELOW) if integer is None else integer[1:]
    if np.minimum.reduce(array) < least or np.maximum.reduce(array) > most:
        return None
    return array.astype(dtype, copy=False).tobytes()
