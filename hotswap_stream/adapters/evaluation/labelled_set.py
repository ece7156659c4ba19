"""A labelled set in memory: what goes into a model, and what should come out of it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import DIMENSIONS_MAX
from hotswap_stream.application.training.validation_sets import SetFacts, ValidationSetError

Array = npt.NDArray[Any]

TRUTHS = ("labels", "target", "relevance", "scale")
"""Names of arrays that say what should come out; all others go into the model."""

_WANTED = {"classification": "labels", "regression": "target", "forecasting": "target", "ranking": "relevance"}
"""Kind → the array that it cannot do without."""


class LabelledSet(Struct, frozen=True, kw_only=True, eq=False):
    """Arrays by name, [rows, …] each. Texts have dtype object and are `str`."""

    facts: SetFacts
    inputs: dict[str, Array]
    truths: dict[str, Array]

    def __len__(self) -> int:
        return self.facts.rows


def labelled_set(arrays: dict[str, Array], *, kind: str | None = None, output: str | None = None) -> LabelledSet:
    """Return the set that these arrays are, checked.

    Args:
        arrays: Name → array: those that go into the model, and `labels`, `target` or `relevance`.
        kind: What is measured on it; None: what the arrays' names say.
        output: Which output of the model is measured; None: the only one that fits.

    Raises:
        ValidationSetError: They are none; the message says what is wrong.
    """
    truths = {name: array for name, array in arrays.items() if name in TRUTHS}
    inputs = {name: array for name, array in arrays.items() if name not in TRUTHS}
    known = {name: kind for kind, name in reversed(_WANTED.items())}
    found = kind or next((known[name] for name in TRUTHS if name in truths and name in known), None)
    if found is None or not set(truths) - {"scale"}:
        raise ValidationSetError(
            f"the set has arrays {sorted(arrays)[:20]}; one named 'labels' (classification), 'target' (regression, "
            "forecasting) or 'relevance' (ranking) is needed beside those that are named as the model's inputs"
        )
    if found in _WANTED and _WANTED[found] not in truths:
        raise ValidationSetError(f"a set for {found} needs an array named {_WANTED[found]!r}; it has {sorted(truths)}")
    if not inputs:
        raise ValidationSetError(f"the set has {sorted(truths)} and nothing that goes into the model")
    rows = _rows(arrays)
    for name, array in truths.items():
        _check_truth(name, array, found)
    return LabelledSet(facts=SetFacts(kind=found, rows=rows, output=output), inputs=inputs, truths=truths)


def _rows(arrays: dict[str, Array]) -> int:
    for name, array in arrays.items():
        if not 1 <= array.ndim <= DIMENSIONS_MAX:
            raise ValidationSetError(
                f"array {name!r} has {array.ndim} dimensions; 1 to {DIMENSIONS_MAX} are needed, the first one the rows"
            )
        if array.dtype.kind not in "?biufO":
            raise ValidationSetError(
                f"array {name!r} is of type {array.dtype}; numbers, truth values or texts are needed"
            )
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) != 1:
        raise ValidationSetError(f"the arrays differ in their number of rows: {counts}")
    rows = next(iter(counts.values()))
    if rows == 0:
        raise ValidationSetError("the set is empty; at least one labelled row is needed")
    if any(array.size == 0 for array in arrays.values()):
        raise ValidationSetError("an array of the set has rows without any element")
    return rows


def _check_truth(name: str, array: Array, kind: str) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValidationSetError(f"{name!r} holds {int((~np.isfinite(array)).sum())} values that are NaN or infinite")
    if name == "labels" and kind == "classification":
        if array.shape[1:] not in ((), (1,)):
            raise ValidationSetError(f"'labels' has shape {list(array.shape)}; one label a row is needed")
        if array.dtype.kind == "f" and (array != np.round(array)).any():
            raise ValidationSetError("'labels' holds fractions; classes are whole numbers or texts")
    elif name != "labels" and array.dtype.kind == "O":
        raise ValidationSetError(f"{name!r} holds texts; numbers are needed")
    if name == "relevance" and (array.ndim != 2 or (array < 0).any()):
        raise ValidationSetError("'relevance' needs shape [rows, items] and no number below 0")
    if name == "scale" and (array.ndim != 1 or (array <= 0).any()):
        raise ValidationSetError("'scale' needs one number above 0 a row")
