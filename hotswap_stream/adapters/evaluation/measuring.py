"""Running a loaded version over a labelled set, and timing single rows of it."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hotswap_stream.adapters.evaluation.evaluators import evaluator_of
from hotswap_stream.adapters.evaluation.labelled_set import Array, LabelledSet
from hotswap_stream.adapters.evaluation.measures import Measures, ModelOutputs, check_metrics, compared
from hotswap_stream.adapters.models.checking import NUMPY_OF
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.application.training.evaluation import SetEvaluation
from hotswap_stream.application.training.validation_sets import ValidationSetError

BATCH_ROWS = 256
TIMED_ROWS_MAX = 200


def fitted_inputs(manifest: ArtifactManifest, labelled: LabelledSet) -> dict[str, Array]:
    """Return the set's arrays as the model takes them: by its names, in its types, one row after the other.

    Where there is one array and the model has one input, their names need not be the same.

    Raises:
        ValidationSetError: They do not fit; the message says which and what would.
    """
    given = labelled.inputs
    names = [spec.name for spec in manifest.inputs]
    if len(given) == len(names) == 1:
        given = {names[0]: next(iter(given.values()))}
    if set(given) != set(names):
        raise ValidationSetError(
            f"the set has arrays {sorted(given)[:20]} to go into the model; the model takes {sorted(names)[:20]}"
        )
    return {spec.name: _fitted(manifest, spec, given[spec.name]) for spec in manifest.inputs}


def _fitted(manifest: ArtifactManifest, spec: TensorSpec, array: Array) -> Array:
    wanted = np.dtype(NUMPY_OF[spec.datatype])
    if (wanted.kind == "O") != (array.dtype.kind == "O"):
        raise ValidationSetError(f"array {spec.name!r} is of type {array.dtype}; the model takes {spec.datatype}")
    if array.dtype.kind == "f" and not manifest.allow_non_finite and not np.isfinite(array).all():
        raise ValidationSetError(f"array {spec.name!r} holds NaN or infinity, which the model does not take")
    cast = _cast(array, wanted)
    if cast is None:
        raise ValidationSetError(
            f"array {spec.name!r} is of type {array.dtype}; the model takes {spec.datatype}, which cannot hold it"
        )
    # Of a request there may be a dimension for the only row, or none.
    row = cast.shape[1:]
    for shape in (row, (1, *row), (*row, 1), (1, *row, 1)):
        if spec.fits((1, *shape) if manifest.has_rows else shape):
            return cast.reshape(len(cast), *shape)
    needed = list(spec.shape[1:] if manifest.has_rows else spec.shape)
    raise ValidationSetError(f"a row of array {spec.name!r} has shape {list(row)}; the model takes {needed}")


def run_model(model: LoadedModel, inputs: dict[str, Array], rows: int) -> ModelOutputs:
    """Return the outputs for all rows."""
    manifest = model.manifest
    parts: dict[str, list[Array]] = {spec.name: [] for spec in manifest.outputs}
    step = BATCH_ROWS if manifest.has_rows else 1
    for start in range(0, rows, step):
        found = model.infer(_taken(manifest, inputs, start, min(rows, start + step)))
        for name, array in found.items():
            parts[name].append(array if manifest.has_rows else _one_row(array))
    try:
        return ModelOutputs(manifest, {name: np.concatenate(arrays) for name, arrays in parts.items()})
    except ValueError as error:
        raise ValidationSetError(f"the model's outputs differ in shape from row to row: {error}") from error


def _taken(manifest: ArtifactManifest, inputs: dict[str, Array], start: int, end: int) -> dict[str, Array]:
    return {name: array[start:end] if manifest.has_rows else array[start] for name, array in inputs.items()}


def _one_row(array: Array) -> Array:
    return array if array.ndim and len(array) == 1 else array[np.newaxis]


def latency_ms_p95(
    model: LoadedModel, inputs: dict[str, Array], rows: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return the 95th percentile of inferences of one row each, without the first one, which is slower."""
    manifest = model.manifest
    model.infer(_taken(manifest, inputs, 0, 1))
    took_ms = []
    for row in range(min(rows, TIMED_ROWS_MAX)):
        taken = _taken(manifest, inputs, row, row + 1)
        began = clock()
        model.infer(taken)
        took_ms.append((clock() - began) * 1_000)
    took_ms.sort()
    return took_ms[min(len(took_ms) - 1, int(len(took_ms) * 0.95))]


def measure(
    model: LoadedModel, labelled: LabelledSet, digest: str, beside: Measures | None = None
) -> tuple[SetEvaluation, Measures]:
    """Return all figures of a version on the set, and what another one is compared with.

    Args:
        model: The version.
        labelled: The set.
        digest: Of the set.
        beside: What another version came to on the same set.

    Raises:
        ValidationSetError: The set does not fit the version.
    """
    inputs = fitted_inputs(model.manifest, labelled)
    measures = evaluator_of(labelled.facts.kind)(run_model(model, inputs, len(labelled)), labelled)
    metrics, warnings = measures.metrics, measures.warnings
    if beside is not None:
        distance = compared(measures.predictions, beside.predictions)
        if distance is None:
            warnings = (
                *warnings,
                "the two versions' predictions differ in shape, so how far apart they are is not known",
            )
        else:
            metrics = (*metrics, distance)
    check_metrics(metrics)
    evaluation = SetEvaluation(
        validation_set=digest,
        kind=labelled.facts.kind,
        count=len(labelled),
        metrics=metrics,
        latency_ms_p95=latency_ms_p95(model, inputs, len(labelled)),
        warnings=warnings,
    )
    return evaluation, measures


def _cast(array: Array, wanted: np.dtype[Any]) -> Array | None:
    """Return an array in another type; None where it cannot hold the values. Fractions may be rounded."""
    if array.dtype == wanted:
        return array
    if wanted.kind == "f":
        with np.errstate(over="ignore"):
            found = array.astype(wanted)
        return found if np.isfinite(found).sum() == np.isfinite(array).sum() else None
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.round(array)).all()):
        return None
    if wanted.kind == "b":
        lowest, highest = 0, 1
    else:
        bounds = np.iinfo(wanted)
        lowest, highest = bounds.min, bounds.max
    if int(array.min()) < lowest or int(array.max()) > highest:
        return None
    return array.astype(wanted)
