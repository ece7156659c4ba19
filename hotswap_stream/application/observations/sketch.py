"""Quantile sketches of the observations: merged, and how far two of them are apart.

KLL sketches of Apache DataSketches. Merging drops values by chance, so that two merges of the same records differ by
their rank error, and by no more.
"""

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hotswap_stream.domain.versions.sketch_bytes import VALUES_MAX, wrong_sketch

_SHARES = [step / 200 for step in range(1, 200)]
"""The shares of the quantiles at which two distribution functions are compared."""


class Sketch:
    """A sketch that others are merged into. ValueError where text is not one, or both have too many values."""

    def __init__(self, encoded: str) -> None:
        self._sketch = _decoded(encoded)

    def merge(self, encoded: str) -> None:
        """Take in the values of another one."""
        self._merge(_decoded(encoded))

    def merge_sketch(self, other: "Sketch") -> None:
        """Take in the values of another one, which stays as it is."""
        self._merge(other._sketch)

    def _merge(self, other: Any) -> None:
        if self._sketch.n + other.n > VALUES_MAX:
            raise ValueError(f"{self._sketch.n} and {other.n} values; a sketch is made of at most {VALUES_MAX}")
        self._sketch.merge(other)

    def copy(self) -> "Sketch":
        """Return a sketch of its own with the same values."""
        copied = object.__new__(Sketch)
        copied._sketch = type(self._sketch)(self._sketch.k)
        copied.merge_sketch(self)
        return copied

    @property
    def count(self) -> int:
        """Values it was made of."""
        return int(self._sketch.n)

    @property
    def rank_error(self) -> float:
        """By how much a rank read from it may be off, as a share."""
        return float(self._sketch.normalized_rank_error(False))

    def encoded(self) -> str:
        """Return the sketch as the observations carry it."""
        return base64.b64encode(self._sketch.serialize()).decode()

    def shares_up_to(self, points: list[float]) -> list[float]:
        """Return the share of the values up to each of the points."""
        return [float(self._sketch.get_rank(point)) for point in points]

    def quantiles(self, shares: list[float]) -> list[float]:
        """Return the values that these shares, 0 to 1, are below; none where it is empty."""
        return [float(value) for value in self._sketch.get_quantiles(shares)] if self.count else []

    def points(self) -> list[float]:
        """Return its quantiles, rising."""
        return sorted({float(value) for value in self._sketch.get_quantiles(_SHARES)}) if self.count else []


def readable_sketches(encoded: Mapping[str, str]) -> dict[str, Sketch]:
    """Return the texts that are sketches, decoded: what another writer put into the log must not stop who reads it."""
    found: dict[str, Sketch] = {}
    for name, text in encoded.items():
        with suppress(ValueError):
            found[name] = Sketch(text)
    return found


def merged_sketch(one: str | None, other: str) -> str:
    """Return both together.

    Raises:
        ValueError: Text is not a sketch.
    """
    if one is None:
        _check(other)
        return other
    sketch = Sketch(one)
    sketch.merge(other)
    return sketch.encoded()


def _decoded(encoded: str) -> Any:
    _check(encoded)
    import datasketches  # its import reads numpy: only where there are sketches

    try:
        return datasketches.kll_floats_sketch.deserialize(base64.b64decode(encoded, validate=True))
    except (binascii.Error, RuntimeError, IndexError) as error:
        raise ValueError(f"not a KLL sketch of floats: {error}") from error


def _check(encoded: str) -> None:
    if wrong := wrong_sketch(encoded):
        raise ValueError(f"not a KLL sketch of floats: {wrong}")
