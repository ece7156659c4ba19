"""Flat lists of numbers, as JSON requests bring them, straight to a tensor's bytes.

numpy looks at each element twice, for the type that holds all and then to convert it; `struct` once. Only what must
come out the same both ways is packed here, and everything else is left to numpy and its checks.

Long lists are packed as soon as a request is decoded: the numbers of a whole batch would fall out of the processor's
caches before they are looked at again, which takes longer than to decode them.
"""

import struct
import sys
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from hotswap_events.inference.messages import InferRequest, InferTensor

EXACT_BELOW = 2.0**53
"""Whole numbers from here on are not all floats, and two conversions round twice. NaN is never below it either."""

_FLOATS = {"FP32": "f", "FP64": "d"}
_INTEGERS = {"UINT8": "B", "UINT16": "H", "UINT32": "I", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q"}
_NUMPY: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
# `struct` is faster in the machine's own order, and ours is that of nearly all machines.
_FORMATS = {
    **{datatype: ("" if sys.byteorder == "little" else "<", code) for datatype, code in _FLOATS.items()},
    **{datatype: ("<", code) for datatype, code in _INTEGERS.items()},
}


PACKED_AT_ONCE_MIN = 32
"""Shorter lists stay what they are until they are looked at."""


def packed_at_once(request: InferRequest) -> InferRequest:
    """Return the same request with the bytes of a tensor in place of each long list that says the same."""
    for tensor in request.inputs:
        if type(tensor.data) is list and len(tensor.data) >= PACKED_AT_ONCE_MIN:
            return replace(request, inputs=[_packed(each) for each in request.inputs])
    return request


def _packed(tensor: InferTensor) -> InferTensor:
    data = tensor.data
    if type(data) is not list or len(data) < PACKED_AT_ONCE_MIN or len(data) != prod(tensor.shape):
        return tensor
    packed = pack_numbers(tensor.datatype, data, len(data))
    if packed is None or (tensor.datatype in _FLOATS and not all_exact(np.frombuffer(packed, _NUMPY[tensor.datatype]))):
        return tensor
    return replace(tensor, data=packed)


def pack_numbers(datatype: str, data: list[Any], count: int) -> bytes | None:
    """Return `count` numbers as little-endian bytes.

    None: the list must be read another way, which may refuse it.

    Of floats, what was packed counts only where `all_exact` says so.
    """
    form = _FORMATS.get(datatype)
    if form is None or len(data) != count or not count:
        return None
    try:
        return struct.pack(f"{form[0]}{count}{form[1]}", *data)
    except (struct.error, OverflowError, TypeError, ValueError):
        return None


def all_exact(array: npt.NDArray[Any]) -> bool:
    """Return whether no value of a packed array may differ from what numpy would have made of the list."""
    return array.dtype.kind != "f" or bool(array.max() < EXACT_BELOW and array.min() > -EXACT_BELOW)
