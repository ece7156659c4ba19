"""A real torch model whose versions can be told apart and computed by hand, bit for bit.

Version k is a linear layer of whole numbers, y = W(k)·x + b(k). All sums stay far below 2²⁴, so FP32 holds each of them
exactly, in any order of addition, on any executor and in any batch. b tells the versions apart whatever x is.
"""

import struct

FEATURES = 4
OUTPUTS = 2
X_MAX = 20
"""Values of x are whole numbers from 0 to this."""
BIAS = 1_000
"""More than |W·x| can reach twice: 2 · 4 · 3 · 20 = 480."""


def weights(value: int) -> list[list[int]]:
    """W of the version with this value: numbers from -3 to 3."""
    return [[(value * (3 * row + column + 1)) % 7 - 3 for column in range(FEATURES)] for row in range(OUTPUTS)]


class ExactModel:
    """What the version with one value answers."""

    def __init__(self, value: int) -> None:
        self._weights = weights(value)
        self._bias = (BIAS * value, -BIAS * value)

    def answer(self, first_row: tuple[int, int, int, int], rows: int) -> list[float]:
        """The outputs, flat, for inputs whose row r is `first_row` + r."""
        outputs = []
        for row in range(rows):
            for (a, b, c, d), bias in zip(self._weights, self._bias, strict=True):
                w, x, y, z = first_row
                outputs.append(float(a * (w + row) + b * (x + row) + c * (y + row) + d * (z + row) + bias))
        return outputs

    def answer_bytes(self, first_row: tuple[int, int, int, int], rows: int) -> bytes:
        """The same as little-endian FP32."""
        outputs = self.answer(first_row, rows)
        return struct.pack(f"<{len(outputs)}f", *outputs)
