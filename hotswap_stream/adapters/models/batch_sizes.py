"""The few numbers of rows that a forward pass may have, and padding up to them.

A row's result may depend, in its last bits, on how many rows are computed with it: libraries pick other kernels for one
row, for few, for many. With fixed sizes an answer can be computed again bit for bit, and every size is tried at load.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

STEPS_PER_DOUBLING = 4
"""If all fills are equally likely, four sizes per doubling add 8 % of rows, two 16 %, one 32 %."""
FINE_UP_TO = 8
"""Up to here only powers of two: these few rows take as long as one."""


def batch_sizes(rows_max: int) -> tuple[int, ...]:
    """Return 1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48 … ending with `rows_max` itself. ValueError below 1."""
    if rows_max < 1:
        raise ValueError(f"rows_max is {rows_max}; at least 1 is needed")
    sizes, size = [], 1
    while size < rows_max:
        sizes.append(size)
        doubling = 1 << (size.bit_length() - 1)
        size += doubling if size < FINE_UP_TO else max(STEPS_PER_DOUBLING, doubling // STEPS_PER_DOUBLING)
    return (*sizes, rows_max)


def size_table(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the smallest size that takes `rows`, at index `rows`, so that the hot path only looks it up."""
    table = [sizes[0]] * (sizes[0] + 1)
    for smaller, size in pairwise(sizes):
        table += [size] * (size - smaller)
    return tuple(table)


def pad_rows(array: Array, rows: int) -> Array:
    """Return a new array with zero rows added at the end.

    Zero is finite, cheap, and a valid index of any embedding. Texts are empty.
    """
    padded = np.empty((rows, *array.shape[1:]), dtype=array.dtype)
    padded[: len(array)] = array
    padded[len(array) :] = "" if array.dtype.kind == "O" else 0
    return padded
