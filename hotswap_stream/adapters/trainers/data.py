"""The arrays of a run's datasets: artifacts of datasets, or files of arrays. Never a pickle."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from hotswap_stream.adapters.evaluation.set_artifacts import unpack_set
from hotswap_stream.application.artifacts.file import ArtifactFormatError, read_manifest
from hotswap_stream.application.trainers.job import TrainingDataError
from hotswap_stream.application.training.validation_sets import ValidationSetError

Array = npt.NDArray[Any]
BYTES_MAX = 4 * 1024**3


def read_arrays(paths: tuple[Path, ...]) -> dict[str, Array]:
    """Return the arrays of all files, those of one name one after another.

    Raises:
        TrainingDataError: One cannot be read, or they do not fit together; the message says what is wrong.
    """
    parts = [_read(path) for path in paths]
    names = set(parts[0])
    for part in parts[1:]:
        if set(part) != names:
            raise TrainingDataError(f"the datasets hold different arrays: {sorted(names)} and {sorted(part)}")
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in sorted(names)}
    except ValueError as error:
        raise TrainingDataError(f"the datasets do not fit together: {error}") from error


def rows_of(arrays: dict[str, Array], *wanted: str) -> int:
    """Return how many rows the named arrays have. TrainingDataError if one is missing, or they differ, or are empty."""
    for name in wanted:
        if name not in arrays:
            raise TrainingDataError(f"the data hold arrays {sorted(arrays)[:20]}; {', '.join(wanted)} are needed")
    counts = {name: len(arrays[name]) if arrays[name].ndim else 0 for name in wanted}
    if len(set(counts.values())) != 1 or not all(counts.values()):
        raise TrainingDataError(f"the arrays have {counts} rows; as many of each are needed, and at least one")
    return next(iter(counts.values()))


def numbers(arrays: dict[str, Array], name: str, dtype: type[np.generic] = np.float32) -> Array:
    """Return an array of finite numbers. TrainingDataError."""
    array = arrays[name]
    if array.dtype.kind not in "fiub":
        raise TrainingDataError(f"array {name!r} is of type {array.dtype}; numbers are needed")
    with np.errstate(over="ignore"):
        found = array.astype(dtype)
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise TrainingDataError(f"array {name!r} holds NaN, infinity or numbers beyond {found.dtype}")
    return found


def classes_of(labels: Array) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the names of the classes, and each row's index among them. Whole numbers keep their place.

    TrainingDataError for labels that are no classes.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iubO":
        raise TrainingDataError(
            f"labels are {labels.dtype} {list(labels.shape)}; one whole number or text a row is needed"
        )
    if labels.dtype.kind == "O":
        names, index = np.unique(labels.astype(str), return_inverse=True)
        return tuple(str(name) for name in names), index.astype(np.int64)
    found = labels.astype(np.int64)
    lowest, highest = int(found.min()), int(found.max())
    if lowest < 0 or highest >= CLASSES_MAX:
        raise TrainingDataError(f"labels reach from {lowest} to {highest}; 0 to {CLASSES_MAX - 1} is needed")
    return tuple(str(number) for number in range(highest + 1)), found


CLASSES_MAX = 10_000


def _read(path: Path) -> dict[str, Array]:
    try:
        size = path.stat().st_size
        if size > BYTES_MAX:
            raise TrainingDataError(f"the dataset has {size} bytes; at most {BYTES_MAX} are allowed")
        if _is_set(path):
            found = unpack_set(path.read_bytes())
            return {**found.inputs, **found.truths}
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name).copy() for name in sorted(file.keys())}
    except (OSError, SafetensorError, TypeError, AttributeError, ValidationSetError, ArtifactFormatError) as error:
        raise TrainingDataError(f"the dataset cannot be read: {error}") from error


def _is_set(path: Path) -> bool:
    try:
        return read_manifest(path.read_bytes()).kind == "dataset"
    except ArtifactFormatError:
        return False
