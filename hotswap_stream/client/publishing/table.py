"""Example rows of a table: an array of numbers or texts, or a DataFrame with a name and a kind for each column."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from msgspec import Struct

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.conversion import ROWS_MAX
from hotswap_stream.client.publishing.errors import ExampleError

MATRIX = "x"
"""The name of the input of a graph that takes all columns as one array."""
COLUMNS_MAX = 64
"""Inputs that a version may have."""

Kind = Literal["float", "integer", "bool", "text"]


class Column(Struct, frozen=True):
    """One column of a DataFrame."""

    name: str
    kind: Kind
    values: Array
    """[rows, 1]."""


class Table(Struct, frozen=True):
    """Example rows. `given` is what the model itself is asked with."""

    given: Any
    columns: tuple[Column, ...] | None
    """None: the example is one array."""
    matrix: Array | None
    """[rows, columns]; None where not all columns are numbers."""
    remarks: tuple[str, ...] = ()

    @property
    def allows_non_finite(self) -> bool:
        """Whether there is a NaN or an infinity in it."""
        arrays = [column.values for column in self.columns] if self.columns is not None else [self.matrix]
        return any(array is not None and array.dtype.kind == "f" and not np.isfinite(array).all() for array in arrays)


def read_table(example: Any) -> Table:
    """Return the example rows of a model that takes tables.

    Args:
        example: A pandas DataFrame, an array or nested list of shape [rows, features], or a list of texts.

    Raises:
        ExampleError: It is none.
    """
    if type(example).__module__.partition(".")[0] == "pandas":
        return _of_frame(example)
    try:
        array = np.asarray(example)
    except ValueError as error:
        raise ExampleError(f"the example is no array: {error}") from error
    if array.dtype.kind not in "fiubOUT":
        raise ExampleError(f"the example holds {array.dtype}; numbers or texts are needed")
    if array.dtype.kind in "OUT" and array.ndim == 1:
        _check_rows(len(array))
        texts = _texts(array.reshape(-1, 1), "the example").ravel()[:ROWS_MAX]
        return Table(texts, None, texts)
    if array.ndim != 2:
        hint = "; for one row, example.reshape(1, -1)" if array.ndim == 1 else ""
        raise ExampleError(f"the example has shape {list(array.shape)}; [rows, features] is needed{hint}")
    _check_rows(len(array))
    if array.dtype.kind in "OUT":
        array = _texts(array, "the example")
    return Table(example[:ROWS_MAX] if isinstance(example, np.ndarray) else array[:ROWS_MAX], None, array[:ROWS_MAX])


def as_floats(array: Array, dtype: str) -> Array:
    """Return numbers as floats of this type.

    Raises:
        ExampleError: They are texts.
    """
    if array.dtype.kind == "O":
        raise ExampleError(
            "the example holds texts, where the model takes numbers: hand in a pipeline that encodes them"
        )
    return array.astype(dtype)


def _of_frame(frame: Any) -> Table:
    if getattr(frame, "ndim", 0) != 2:
        raise ExampleError(f"the example is a {type(frame).__name__}; a DataFrame or an array is needed")
    _check_rows(len(frame))
    frame = frame.head(ROWS_MAX)
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        raise ExampleError(f"the example names a column twice: {names}")
    columns = tuple(_column(name, frame.iloc[:, index]) for index, name in enumerate(names))
    matrix = _side_by_side(columns)
    if len(columns) <= COLUMNS_MAX:
        return Table(frame, columns, matrix)
    many = f"the example has {len(columns)} columns, and a version {COLUMNS_MAX} inputs at most"
    if matrix is None:
        raise ExampleError(f"{many}: hand in a model that takes one array, with what encodes the texts outside")
    return Table(frame, None, matrix, (f"{many}: they go in side by side, as one input {MATRIX!r}",))


def _column(name: str, series: Any) -> Column:
    dtype = series.dtype
    kind = getattr(dtype, "kind", "O")
    values = series.to_numpy()
    if kind == "b" and values.dtype.kind == "b":
        return Column(name, "bool", values.reshape(-1, 1))
    if kind in "iu" and values.dtype.kind in "iu":
        return Column(name, "integer", values.astype(np.int64).reshape(-1, 1))
    if kind in "fiub":
        return Column(name, "float", series.to_numpy(dtype=np.float64, na_value=np.nan).reshape(-1, 1))
    if kind in "OUT":
        return Column(name, "text", _texts(np.asarray(values, object).reshape(-1, 1), f"column {name!r}"))
    raise ExampleError(f"column {name!r} holds {dtype}; numbers, truth values or texts are needed")


def _texts(array: Array, what: str) -> Array:
    flat = np.asarray(array, object)
    for index, value in enumerate(flat.ravel().tolist()):
        if not isinstance(value, str):
            row = index // (flat.shape[1] or 1)
            raise ExampleError(
                f"{what} holds {value!r} in row {row}, beside texts: a request cannot leave a text out, so fill it in "
                "before, such as with ''"
            )
    return flat


def _side_by_side(columns: Sequence[Column]) -> Array | None:
    if not columns or any(column.kind == "text" for column in columns):
        return None
    return np.concatenate([column.values.astype(np.float64) for column in columns], axis=1)


def _check_rows(rows: int) -> None:
    if not rows:
        raise ExampleError("the example has no rows; a few of the training data are best")
