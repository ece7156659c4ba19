"""What of rows is looked at, and the sketches of it: the same for live requests and for the data a version is made of.

Needs numpy and datasketches; import it where there are arrays.
"""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import datasketches
import numpy as np
import numpy.typing as npt

from hotswap_events.inference.observation import FEATURES_MAX, INPUT_SKETCH, SCORE_SKETCH, SKETCH_K

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

FEATURES_LOOKED_AT_MAX = 32
"""An input with more elements a row is known by its mean alone."""
ELEMENTS_A_ROW_MAX = 1_024
"""At most this many elements of a row are looked at: every n-th of a longer one."""
OUTPUT_ELEMENTS_MAX = 4_096
"""Outputs with more elements a row are not looked at."""
SUMMED_MAX = 1e100
PROFILE_ROWS_MAX = 100_000
"""At most this many rows of the data are looked at, evenly spread."""


def looked_at(rows: Array) -> Array:
    """Return what is looked at of each row, however many dimensions it has.

    Returns:
        A copy of its elements, [n, elements], or, where rows are long, of their means, [n, 1].
    """
    flat = rows.reshape(-1, rows[0].size)
    if flat.shape[1] > ELEMENTS_A_ROW_MAX:
        flat = flat[:, :: flat.shape[1] // ELEMENTS_A_ROW_MAX]
    if flat.shape[1] <= FEATURES_LOOKED_AT_MAX:
        return flat.copy()
    # The mean, without what `mean` does in Python beside it: this is done for every forward pass.
    sums: Array = np.add.reduce(flat, axis=1, dtype=np.float64, keepdims=True)
    return sums / flat.shape[1]


def means_of(tables: Sequence[Array]) -> Floats:
    """Return the means of the rows of what was looked at, where they are finite."""
    if not tables:
        return np.empty(0)
    means: Floats = np.concatenate([rows.mean(axis=1, dtype=np.float64) for rows in tables])
    return means[np.isfinite(means)]


def summable(values: Floats) -> Floats:
    """Return the values, those beyond ±1e100 as ±1e100.

    The sum of their squares stays a number, which JSON can hold.
    """
    return np.clip(values, -SUMMED_MAX, SUMMED_MAX)


def element_tables(tables: Sequence[Array], elements_max: int) -> Iterator[tuple[int, Array]]:
    """Return some elements by their index, spread over the row, where all rows are short and of one length."""
    width = tables[0].shape[1]
    if width > 1 and all(rows.shape[1] == width for rows in tables):
        table = np.concatenate(tables)
        for index in sorted({step * width // elements_max for step in range(elements_max)}):
            yield index, table[:, index]


def as_one_row(array: Array) -> Array:
    """Return all of a tensor as a single row, [1, …]: of a model that takes requests one by one, it may be a scalar.

    What has one row of class scores stays that; of anything else the row has no classes.
    """
    if array.ndim == 2 and array.shape[0] == 1:
        return array
    return array.reshape(1, 1, -1)


def labels_and_scores(output: Array) -> tuple[npt.NDArray[np.int64] | None, Floats]:
    """Return the index and the value of the largest class score of each row; without class scores None and the mean."""
    if output.ndim == 2 and output.shape[1] > 1 and output.dtype.kind == "f":
        labels = output.argmax(axis=1)
        return labels, output[np.arange(len(output)), labels].astype(np.float64)
    return None, output.reshape(len(output), -1).mean(axis=1, dtype=np.float64)


def new_sketch() -> datasketches.kll_floats_sketch:
    """Return a sketch that holds nothing."""
    return datasketches.kll_floats_sketch(SKETCH_K)


def update(sketch: datasketches.kll_floats_sketch, values: Array) -> None:
    """Take in the values that are finite as 32-bit floats."""
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    sketch.update(found[np.isfinite(found)])


def encoded(sketch: datasketches.kll_floats_sketch) -> str:
    """Return the sketch as observations and profiles carry it."""
    return base64.b64encode(sketch.serialize()).decode()


class RowProfile:
    """Sketches of a version's training data, folded part by part: of the first input's rows, and of the scores."""

    def __init__(self) -> None:
        self.rows = 0
        self._sketches: dict[str, datasketches.kll_floats_sketch] = {}

    def add(self, rows: Array, output: Array | None = None) -> None:
        """Take in some rows of the first input, and what the version answers to them."""
        if len(rows):
            self.rows += len(rows)
            table = looked_at(rows)
            self._update(INPUT_SKETCH, means_of([table]))
            for index, values in element_tables([table], FEATURES_MAX):
                self._update(f"{INPUT_SKETCH}.{index}", values)
            if output is not None and output.size <= OUTPUT_ELEMENTS_MAX * len(rows):
                self._update(SCORE_SKETCH, labels_and_scores(output)[1])

    def sketches(self) -> dict[str, str]:
        """Return name → sketch, as a profile carries them; those that hold nothing are left out."""
        return {name: encoded(sketch) for name, sketch in sorted(self._sketches.items()) if sketch.n}

    def _update(self, name: str, values: Array) -> None:
        update(self._sketches.setdefault(name, new_sketch()), values)
