"""Flat lists of numbers, as JSON requests bring them, straight to a tensor's bytes.

numpy looks at each element twice, for the type that holds all and then to convert it; `struct` once. Only what must
come out the same both ways is packed here, and everything else is left to numpy and its checks.
"""

import struct
import sys
from typing import Any

import numpy.typing as npt

EXACT_BELOW = 2.0**53
"""Whole numbers from here on are not all floats, and two conversions round twice. NaN is never below it either."""

_FLOATS = {"FP32": "f", "FP64": "d"}
_INTEGERS = {"UINT8": "B", "UINT16": "H", "UINT32": "I", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q"}
# `struct` is faster in the machine's own order, and ours is that of nearly all machines.
_FORMATS = {
    **{datatype: ("" if sys.byteorder == "little" else "<", code) for datatype, code in _FLOATS.items()},
    **{datatype: ("<", code) for datatype, code in _INTEGERS.items()},
}


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
