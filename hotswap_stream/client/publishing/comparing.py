"""Does the graph answer as the model does: the largest difference of each output, and how often labels agree."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import Struct

from hotswap_stream.adapters.models.checking import TOLERANCES
from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.differences import Comparison, Difference
from hotswap_stream.client.publishing.errors import ExampleError

SMALLEST_SCALE = 1e-6
VALUES_SHOWN = 6
FP64_TOLERANCE = 1e-6
"""A model that computes with 64 bits is compared by this: parts of a graph compute with 32 all the same."""


class _Compared(Struct, frozen=True):
    difference: Difference
    holds: bool


class _Labels(Struct, frozen=True):
    rows: int
    agreement: float
    undecided_rows: int
    """Rows with another label, whose scores are as good as equal."""
    wrong_rows: Array
    """The other rows with another label."""


def compare(
    inputs: Mapping[str, Array],
    wanted: Mapping[str, Array],
    found: Mapping[str, Array],
    *,
    classifies: bool,
    difference_max: float | None,
    label_agreement_min: float,
) -> Comparison:
    """Compare what a model answers with what its graph answers.

    A number may be off by a part of the largest number in its output. Labels must agree wherever the model's own two
    highest scores are further apart than that: rows where they are not are undecided, and their labels do not count.

    Args:
        inputs: The example as the graph takes it, for showing the worst row.
        wanted: The model's outputs.
        found: The graph's, by the same names.
        classifies: Whether the highest score is the answer.
        difference_max: How far a number may be off, as a part of the largest; None: by the output's type.
        label_agreement_min: The share of rows whose labels must agree.
    """
    if set(wanted) != set(found):
        raise ExampleError(f"the model answers {sorted(wanted)}, its graph {sorted(found)}")
    # What the graph answers may have another shape for the same: [rows, 1] for [rows].
    pairs = {name: (_shaped(np.asarray(wanted[name]), found[name], name), found[name]) for name in wanted}
    numbers = {name: pair for name, pair in pairs.items() if pair[1].dtype.kind == "f"}
    compared = [_difference(name, *pair, difference_max) for name, pair in numbers.items()]
    others = {name: pair for name, pair in pairs.items() if name not in numbers}
    labels = _labels(numbers, others, compared, classifies)
    reasons = [_reason(each.difference, numbers[each.difference.output], inputs) for each in compared if not each.holds]
    if labels is not None and 1 - len(labels.wrong_rows) / labels.rows < label_agreement_min:
        reasons.append(_label_reason(labels, label_agreement_min, pairs, inputs))
    return Comparison(
        rows=len(next(iter(found.values()))) if found else 0,
        differences=tuple(each.difference for each in compared),
        label_agreement=None if labels is None else labels.agreement,
        undecided_rows=0 if labels is None else labels.undecided_rows,
        reasons=tuple(reasons),
    )


def _shaped(wanted: Array, found: Array, name: str) -> Array:
    if wanted.size != found.size:
        raise ExampleError(
            f"output {name!r} has shape {list(found.shape)} for the example, the model's own {list(wanted.shape)}"
        )
    return wanted.reshape(found.shape)


def _difference(name: str, wanted: Array, found: Array, difference_max: float | None) -> _Compared:
    part = difference_max
    if part is None:
        part = FP64_TOLERANCE if found.dtype.itemsize == 8 else TOLERANCES[found.dtype.itemsize]
    one, other = wanted.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(one) & np.isfinite(other)
    scale = max(float(np.abs(one[finite]).max()) if finite.any() else 0.0, SMALLEST_SCALE)
    alike = finite | (np.isnan(one) & np.isnan(other)) | (one == other)
    off = np.where(finite, np.abs(np.where(finite, one, 0) - np.where(finite, other, 0)), np.where(alike, 0, np.inf))
    by_row = off.reshape(len(off), -1).max(axis=1) if off.ndim and off.size else np.zeros(1)
    row = int(by_row.argmax())
    largest = float(by_row[row])
    difference = Difference(
        output=name, absolute=largest, relative=largest / scale, allowed=part * scale, worst_row=row
    )
    return _Compared(difference, largest <= part * scale)


def _labels(
    numbers: Mapping[str, tuple[Array, Array]],
    others: Mapping[str, tuple[Array, Array]],
    compared: list[_Compared],
    classifies: bool,
) -> _Labels | None:
    scores = next((name for name, (one, _) in numbers.items() if one.ndim == 2 and one.shape[1] > 1), None)
    agrees: Array
    if others:
        agrees = np.asarray(np.stack([_equal_rows(one, other) for one, other in others.values()]).all(axis=0))
    elif classifies and scores is not None:
        one, other = numbers[scores]
        agrees = np.asarray(one.argmax(axis=1) == other.argmax(axis=1))
    else:
        return None
    decided: Array = np.ones(len(agrees), np.bool_)
    if scores is not None:
        allowed = next(each.difference.allowed for each in compared if each.difference.output == scores)
        highest = np.sort(numbers[scores][0], axis=1)[:, -2:]
        decided = np.asarray(highest[:, 1] - highest[:, 0] > allowed)
    return _Labels(
        rows=len(agrees),
        agreement=float(agrees.mean()),
        undecided_rows=int((~agrees & ~decided).sum()),
        wrong_rows=np.flatnonzero(~agrees & decided),
    )


def _equal_rows(one: Array, other: Array) -> Array:
    if one.dtype.kind in "OUS" or other.dtype.kind in "OUS":
        one, other = one.astype(str), other.astype(str)
    equal: Array = np.asarray(one == other)
    return np.asarray(equal.reshape(len(equal), -1).all(axis=1))


def _reason(difference: Difference, pair: tuple[Array, Array], inputs: Mapping[str, Array]) -> str:
    row = difference.worst_row
    return (
        f"output {difference.output!r} is off by {difference.absolute:.3g}, where {difference.allowed:.3g} is allowed; "
        f"the worst is row {row}: for {_inputs(inputs, row)} the model answers {_row(pair[0], row)}, its graph "
        f"{_row(pair[1], row)}"
    )


def _label_reason(
    labels: _Labels, agreement_min: float, pairs: Mapping[str, tuple[Array, Array]], inputs: Mapping[str, Array]
) -> str:
    row = int(labels.wrong_rows[0])
    model = ", ".join(f"{name} {_row(one, row)}" for name, (one, _) in pairs.items())
    graph = ", ".join(f"{name} {_row(other, row)}" for name, (_, other) in pairs.items())
    return (
        f"the labels of {len(labels.wrong_rows)} of {labels.rows} rows differ, where {agreement_min:.4%} must agree; "
        f"the first is row {row}: for {_inputs(inputs, row)} the model answers {model}, its graph {graph}"
    )


def _inputs(inputs: Mapping[str, Array], row: int) -> str:
    return ", ".join(f"{name}={_row(array, row)}" for name, array in list(inputs.items())[:VALUES_SHOWN])


def _row(array: Array, row: int) -> str:
    values: list[Any] = np.asarray(array[row] if array.ndim else array).ravel()[: VALUES_SHOWN + 1].tolist()
    shown = ", ".join(f"{value:.9g}" if isinstance(value, float) else repr(value) for value in values[:VALUES_SHOWN])
    return f"[{shown}{', …' if len(values) > VALUES_SHOWN else ''}]"
