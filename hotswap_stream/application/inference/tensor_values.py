"""Elements of a tensor as Python lists, without numpy: for the gateway and for clients that do not have it."""

import math
import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from hotswap_events.inference.messages import DATATYPE_BYTES, InferResponse, InferTensor
from hotswap_stream.application.inference.byte_strings import unpack_strings

DIMENSIONS_MAX = 8

STRUCT_CODES = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}

_lists = msgspec.json.Decoder(list[Any])


class TextTensor(InferTensor, frozen=True, kw_only=True, gc=False):
    """A tensor whose list stays the JSON text that came, to be passed on as JSON without a Python object per number.

    Encode it as JSON only: in msgpack the text would stand between binary values.
    """

    data: msgspec.Raw


class TextResponse(InferResponse, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An answer that came as JSON, with its outputs as text."""

    outputs: list[TextTensor]  # type: ignore[assignment]


def tensor_bytes(datatype: str, shape: Sequence[int]) -> int | None:
    """Return how many bytes a tensor's raw data take; None for BYTES, whose elements have lengths of their own."""
    element_bytes = DATATYPE_BYTES.get(datatype)
    return None if element_bytes is None else math.prod(shape) * element_bytes


def flat_values(tensor: InferTensor) -> list[Any]:
    """Return the tensor's numbers or texts, row-major.

    Raises:
        ValueError: The raw data do not have as many bytes as shape and datatype take.
    """
    if isinstance(tensor, TextTensor):
        return flatten(_lists.decode(tensor.data))
    if not isinstance(tensor.data, bytes):
        return flatten(tensor.data)
    wanted = tensor_bytes(tensor.datatype, tensor.shape)
    if wanted is None:
        try:
            return list(unpack_strings(tensor.data, math.prod(tensor.shape)))
        except ValueError as error:
            raise ValueError(f"tensor {tensor.name!r}: {error}") from error
    if len(tensor.data) != wanted:
        raise ValueError(f"tensor {tensor.name!r} has {len(tensor.data)} bytes; its shape and datatype take {wanted}")
    return list(struct.unpack(f"<{math.prod(tensor.shape)}{STRUCT_CODES[tensor.datatype]}", tensor.data))


def flatten(data: Sequence[Any]) -> list[Any]:
    """Flatten a flat or regularly nested list."""
    values = list(data)
    for _ in range(DIMENSIONS_MAX):
        if not values or not isinstance(values[0], (list, tuple)):
            break
        values = [value for row in values for value in row]
    return values


def nest(values: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    """Nest a flat list in this shape."""
    nested = list(values)
    for size in reversed(shape[1:]):
        nested = [nested[start : start + size] for start in range(0, len(nested), size)] if size else []
    return nested


def shape_of(data: Any) -> tuple[int, ...]:
    """Return the shape of nested lists; () for a number.

    Raises:
        ValueError: They are ragged, or deeper than `DIMENSIONS_MAX`.
    """
    shape: list[int] = []
    level = [data]
    while isinstance(level[0], (list, tuple)):
        sizes = {len(row) if isinstance(row, (list, tuple)) else -1 for row in level}
        if len(sizes) != 1:
            raise ValueError(f"the lists in dimension {len(shape) + 1} differ in length; a regular shape is needed")
        shape.append(sizes.pop())
        if len(shape) > DIMENSIONS_MAX:
            raise ValueError(f"the lists are nested more than {DIMENSIONS_MAX} deep")
        level = [value for row in level for value in row]
        if not level:
            return tuple(shape)
    if any(isinstance(value, (list, tuple)) for value in level):
        raise ValueError(f"numbers and lists are mixed in dimension {len(shape)}; a regular shape is needed")
    return tuple(shape)
