"""What a version returned for a set, what was measured on it, and what all evaluators do alike."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from msgspec import Struct

from hotswap_stream.adapters.evaluation.labelled_set import Array, LabelledSet
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.training.evaluation import Metric
from hotswap_stream.application.training.validation_sets import ValidationSetError
from hotswap_stream.domain.versions.metrics import known_metric

METRICS_MAX = 48


class ModelOutputs(Struct, frozen=True, eq=False):
    """What a version returned for all rows of a set: name → array, [rows, …]."""

    manifest: ArtifactManifest
    arrays: dict[str, Array]


class Measures(Struct, frozen=True, kw_only=True, eq=False):
    """What an evaluator found."""

    metrics: tuple[Metric, ...]
    predictions: Array
    """What is compared with another version's: [rows, …] of numbers with fractions, or of classes."""
    warnings: tuple[str, ...] = ()


def metrics_of(values: Mapping[str, float]) -> tuple[Metric, ...]:
    """Return metrics that come along, with what is known of each."""
    metrics = []
    for name, value in values.items():
        known = known_metric(name)
        if known is None:
            raise ValueError(f"metric {name!r} is not known")
        metrics.append(Metric(name=name, value=float(value), better=known.better, unit=known.unit))
    return tuple(metrics)


def compared(one: Array, other: Array) -> Metric | None:
    """Return how far two versions' predictions are from each other; None where they cannot be compared."""
    if one.shape != other.shape:
        return None
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return metrics_of({"difference_mae": float(np.abs(one - other).mean())})[0]
    return metrics_of({"agreement": float((one == other).mean())})[0]


def check_metrics(metrics: Iterable[Metric]) -> None:
    """Raise ValidationSetError for metrics that no event could carry: too many, two of one name, not a number."""
    names = [metric.name for metric in metrics]
    if len(names) > METRICS_MAX or len(set(names)) != len(names):
        raise ValidationSetError(f"{len(names)} metrics {names[:5]}; at most {METRICS_MAX} of different names are kept")
    for metric in metrics:
        if not math.isfinite(metric.value):
            raise ValidationSetError(f"metric {metric.name!r} is {metric.value}; a finite number is needed")


def finite(name: str, array: Array) -> Array:
    """Return an output as numbers with fractions.

    Raises:
        ValidationSetError: It holds NaN or infinity.
    """
    numbers = array.astype(np.float64)
    bad = np.atleast_1d(~np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1))
    if bad.any():
        raise ValidationSetError(
            f"output {name!r} holds NaN or infinity in {int(bad.sum())} of {len(bad)} rows, the first one row "
            f"{int(bad.argmax())}"
        )
    return numbers


def numbers_like(outputs: ModelOutputs, labelled: LabelledSet, truth: str) -> tuple[str, Array]:
    """Return the output that has as many numbers a row as a truth, by its name, in the truth's shape.

    Raises:
        ValidationSetError: None has, or several.
    """
    target = labelled.truths[truth]
    found = {
        name: array
        for name, array in outputs.arrays.items()
        if array.dtype.kind in "iuf" and array.size == target.size and labelled.facts.output in (None, name)
    }
    if len(found) != 1:
        shapes = {name: list(array.shape) for name, array in outputs.arrays.items()}
        wanted = "" if labelled.facts.output is None else f" named {labelled.facts.output!r}"
        raise ValidationSetError(
            f"{len(found) or 'no'} outputs{wanted} fit {truth!r} of shape {list(target.shape)}; the model returns "
            f"{shapes}. Choose the set with the name of the output that is measured"
        )
    name, array = next(iter(found.items()))
    return name, finite(name, array).reshape(target.shape)
