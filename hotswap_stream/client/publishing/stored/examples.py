"""Example rows to compare a model with its graph: those that were logged with it, or made up where there are none."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.application.mlflow.importing.conversion import ConversionOrder, ExampleFile
from hotswap_stream.client.publishing.errors import ExampleError
from hotswap_stream.client.publishing.stored.split_points import split_points

MADE_UP_ROWS = 256
SEED = 12
_WAY_OUT = "log it with input_example=X[:100]"


class Example(Struct, frozen=True, kw_only=True):
    """Rows, and where they come from."""

    rows: Any
    words: str
    remark: str = ""


class _Split(Struct):
    columns: list[str | int]
    data: list[list[Any]]


class _ColumnSpec(Struct):
    name: str | None = None
    type: str = ""


def example_for(order: ConversionOrder, model: Any) -> Example:
    """Return example rows for a model.

    Raises:
        ExampleError: None came with it, and none can be made up.
    """
    if order.example is not None:
        return Example(rows=_logged(order.example), words="logged with the model")
    if order.how == "pt2":
        raise ExampleError(f"the exported program was logged without an example: {_WAY_OUT}")
    return Example(
        rows=_made_up(order, model),
        words="made up",
        remark="no example was logged with the model: it was compared with its graph on rows that were made up; "
        f"{_WAY_OUT}",
    )


def _logged(example: ExampleFile) -> Any:
    content = Path(example.path).read_bytes()
    try:
        if example.table:
            import pandas as pd

            split = msgspec.json.decode(content, type=_Split)
            return pd.DataFrame(split.data, columns=[str(name) for name in split.columns])
        found = msgspec.json.decode(content)
        if isinstance(found, dict):
            found = found.get("inputs", found)
        if isinstance(found, dict):
            return {str(name): np.asarray(value) for name, value in found.items()}
        array = np.asarray(found)
    except (ValueError, TypeError) as error:
        raise ExampleError(f"the example that was logged cannot be read: {error}") from error
    # JSON has one kind of numbers; arrays of 64 bits that hold numbers of 32 are the usual way to write those.
    return array


def _made_up(order: ConversionOrder, model: Any) -> Any:
    generator = np.random.default_rng(SEED)
    points = split_points(model)
    columns = _columns(order.input_schema)
    if columns and points is None:
        return _frame(generator, columns, {})
    if points is None:
        count = getattr(model, "n_features_in_", None)
        if count is None or hasattr(model, "feature_names_in_"):
            raise ExampleError(f"an example is needed: the model does not say what it takes. {_WAY_OUT}")
        return generator.normal(size=(MADE_UP_ROWS, int(count))).astype("float32")
    rows = np.stack([_between(generator, each) for each in points], axis=1)
    if columns and len(columns) == rows.shape[1] and all(column.type not in ("string", "") for column in columns):
        return _frame(generator, columns, dict(enumerate(rows.T)))
    return rows


def _between(generator: np.random.Generator, points: Sequence[float]) -> Array:
    """Return numbers of 32 bits on both sides of all points, and on none of them: rounding must not decide."""
    known = np.unique(np.asarray(points, np.float64)) if points else np.zeros(1)
    gap = float(np.diff(known).max()) if len(known) > 1 else max(1.0, abs(float(known[0])))
    places = np.concatenate([[known[0] - gap], (known[1:] + known[:-1]) / 2, [known[-1] + gap]])
    found: Array = generator.choice(places, MADE_UP_ROWS).astype("float32")
    return found


def _columns(schema: str | None) -> list[_ColumnSpec]:
    """Return the named columns that MLflow's signature has; none where it has none."""
    if schema is None:
        return []
    try:
        found = msgspec.json.decode(schema, type=list[_ColumnSpec])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []
    return found if all(column.name and column.type != "tensor" for column in found) else []


def _frame(generator: np.random.Generator, columns: Sequence[_ColumnSpec], values: dict[int, Array]) -> Any:
    import pandas as pd

    made: dict[str, Any] = {}
    for index, column in enumerate(columns):
        name = column.name or ""
        kind = column.type
        numbers = values.get(index)
        if kind in ("double", "float"):
            made[name] = generator.normal(size=MADE_UP_ROWS).astype("float32") if numbers is None else numbers
        elif kind in ("long", "integer"):
            whole = generator.integers(0, 10, MADE_UP_ROWS) if numbers is None else np.rint(numbers)
            made[name] = whole.astype("int64")
        elif kind == "boolean":
            made[name] = generator.integers(0, 2, MADE_UP_ROWS).astype(bool)
        elif kind == "string":
            made[name] = [""] * MADE_UP_ROWS
        else:
            raise ExampleError(f"an example is needed: column {json.dumps(name)} holds {kind[:50]!r}. {_WAY_OUT}")
    return pd.DataFrame(made)
