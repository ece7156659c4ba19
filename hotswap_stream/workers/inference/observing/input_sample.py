"""A sample of input rows, spread evenly over the time between two observations, however many there are."""

from collections.abc import Iterator

import datasketches
import numpy as np

from hotswap_events.inference.observation import Sums
from hotswap_stream.application.observations.row_sketches import (
    element_tables,
    looked_at,
    means_of,
    new_sketch,
    summable,
    update,
)
from hotswap_stream.workers.inference.requests.tensors import Array

ROWS_A_GROUP_MAX = 4
SAMPLES_MAX = 64
"""Groups in the sample; beyond, every other one is dropped and half as many are taken from there on."""


class InputSample:
    """Not for more than one thread at a time."""

    def __init__(self) -> None:
        self._stride = 1
        self._seen = 0
        self._rows: list[Array] = []

    def offer(self, rows: Array) -> None:
        """Take some of a group's rows, perhaps; they are copied."""
        seen = self._seen
        self._seen = seen + 1
        if seen % self._stride:
            return
        self._rows.append(looked_at(rows[:: max(1, len(rows) // ROWS_A_GROUP_MAX)][:ROWS_A_GROUP_MAX]))
        if len(self._rows) >= SAMPLES_MAX:
            self._rows = self._rows[::2]
            self._stride *= 2

    def sums(self) -> Sums:
        """Return the sums over the means of the rows."""
        means = summable(means_of(self._rows))
        return Sums(len(means), float(means.sum()), float(np.dot(means, means)))

    def sketches(self, name: str, features_max: int) -> Iterator[tuple[str, datasketches.kll_floats_sketch]]:
        """Yield the means as `name`; where the rows are short, some elements as `name.<index>`, spread over the row."""
        means = means_of(self._rows)
        if not len(means):
            return
        yield name, _sketch(means)
        for index, values in element_tables(self._rows, features_max):
            yield f"{name}.{index}", _sketch(values)


def _sketch(values: Array) -> datasketches.kll_floats_sketch:
    sketch = new_sketch()
    update(sketch, values)
    return sketch
