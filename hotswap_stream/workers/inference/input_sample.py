"""A sample of input rows, spread evenly over the time between two observations, however many there are."""

from collections.abc import Iterator

import datasketches
import numpy as np

from hotswap_events.observation import SKETCH_K, Sums
from hotswap_stream.workers.inference.tensors import Array

ROWS_A_GROUP_MAX = 4
SAMPLES_MAX = 64
"""Groups in the sample; beyond, every other one is dropped and half as many are taken from there on."""
FEATURES_LOOKED_AT_MAX = 32
"""An input with more elements a row is known by its mean alone."""
ELEMENTS_A_ROW_MAX = 1_024
"""Of longer rows every n-th element is looked at."""


class InputSample:
    """Not for more than one thread at a time."""

    def __init__(self) -> None:
        self._stride = 1
        self._seen = 0
        self._rows: list[Array] = []

    def offer(self, rows: Array) -> None:
        """Perhaps take some of a group's rows; they are copied."""
        seen = self._seen
        self._seen = seen + 1
        if seen % self._stride:
            return
        flat = rows[:: max(1, len(rows) // ROWS_A_GROUP_MAX)][:ROWS_A_GROUP_MAX].reshape(-1, rows[0].size)
        if flat.shape[1] > ELEMENTS_A_ROW_MAX:
            flat = flat[:, :: flat.shape[1] // ELEMENTS_A_ROW_MAX]
        few = flat.shape[1] <= FEATURES_LOOKED_AT_MAX
        self._rows.append(flat.copy() if few else flat.mean(axis=1, dtype=np.float64, keepdims=True))
        if len(self._rows) >= SAMPLES_MAX:
            self._rows = self._rows[::2]
            self._stride *= 2

    def sums(self) -> Sums:
        """Of the means of the rows."""
        means = self._means()
        return Sums(len(means), float(means.sum()), float(np.dot(means, means)))

    def sketches(self, name: str, features_max: int) -> Iterator[tuple[str, datasketches.kll_floats_sketch]]:
        """The means as `name`; where the rows are short, some elements as `name.<index>`, spread over the row."""
        means = self._means()
        if not len(means):
            return
        yield name, _sketch(means)
        width = self._rows[0].shape[1]
        if width > 1 and all(rows.shape[1] == width for rows in self._rows):
            table = np.concatenate(self._rows)
            for index in sorted({step * width // features_max for step in range(features_max)}):
                yield f"{name}.{index}", _sketch(table[:, index])

    def _means(self) -> Array:
        if not self._rows:
            return np.empty(0)
        means: Array = np.concatenate([rows.mean(axis=1, dtype=np.float64) for rows in self._rows])
        return means[np.isfinite(means)]


def _sketch(values: Array) -> datasketches.kll_floats_sketch:
    sketch = datasketches.kll_floats_sketch(SKETCH_K)
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    sketch.update(found[np.isfinite(found)])
    return sketch
