"""The profile of a version: its data, row by row as live requests bring them, and its scores on them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import torch
from safetensors import SafetensorError
from torch import nn

from hotswap_stream.adapters.torch.data.files import DATA_FILE_BYTES_MAX, DataFileError
from hotswap_stream.adapters.torch.modules.datatypes import TORCH_OF
from hotswap_stream.adapters.torch.modules.loading import named_outputs
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.observations.row_sketches import PROFILE_ROWS_MAX, RowProfile
from hotswap_stream.application.training.runs import DataProfile

Array = npt.NDArray[Any]

BATCH_ROWS = 256


def profile_of(
    module: nn.Module, manifest: ArtifactManifest, inputs: Sequence[Array], *, source: str, where: str
) -> DataProfile:
    """Return sketches of the first input's rows and of the module's scores.

    Args:
        module: Computes the scores.
        manifest: Declares inputs and outputs.
        inputs: Those of the manifest, in its order, with as many rows each.
        source: What to call the data.
        where: Names the data in errors.

    Raises:
        DataFileError: The version does not take these rows.
    """
    count = len(inputs[0])
    if count == 0:
        raise DataFileError(f"{where} has no rows; a profile is made of 1 or more")
    if any(len(array) != count for array in inputs):
        raise DataFileError(f"{where} has {[len(array) for array in inputs]} rows; as many of each input are needed")
    stride = -(-count // PROFILE_ROWS_MAX)
    taken = [array[::stride] for array in inputs]
    fixed = max(spec.shape[0] for spec in manifest.inputs)
    batch = BATCH_ROWS if fixed == -1 else fixed
    profile = RowProfile()
    for start in range(0, len(taken[0]) if fixed == -1 else len(taken[0]) // fixed * fixed, batch):
        # Copied: what is mapped or a view of a series is neither contiguous nor ours to hand out.
        part = [np.array(array[start : start + batch], order="C") for array in taken]
        profile.add(part[0], _answer(module, manifest, part, f"{where}, rows from {start * stride}"))
    if not profile.rows:
        raise DataFileError(f"{where} has {count} rows; the version takes {fixed} at a time")
    return DataProfile(source=source, rows=profile.rows, sketches=profile.sketches())


def _answer(module: nn.Module, manifest: ArtifactManifest, part: Sequence[Array], where: str) -> Array:
    for spec, array in zip(manifest.inputs, part, strict=True):
        if not manifest.allow_non_finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataFileError(f"{where}: input {spec.name!r} holds NaN or infinity, which the version does not take")
    try:
        with torch.inference_mode():
            answer = module(*(torch.from_numpy(array) for array in part))
    except (RuntimeError, IndexError, ValueError) as error:
        raise DataFileError(f"{where}: {manifest.architecture!r} cannot answer them: {error}") from error
    output: Array = named_outputs(answer, manifest)[0].numpy()
    return output


def read_inputs(path: Path, manifest: ArtifactManifest) -> list[Array]:
    """Read the manifest's inputs from a data file. Never a pickle.

    It is a file of `train`, a .safetensors file that names them, or, for one input, a .npy file. For an input that
    workers fill from a series, a series [steps, features] gives all of its windows.

    Raises:
        DataFileError: The file lacks what the message says.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise DataFileError(f"data file {path} cannot be read: {error.strerror}") from error
    if size > DATA_FILE_BYTES_MAX:
        raise DataFileError(f"data file {path} has {size} bytes; at most {DATA_FILE_BYTES_MAX} are allowed")
    if path.suffix == ".npy":
        found = _npy(path, manifest)
    elif path.suffix == ".safetensors":
        found = _safetensors(path, manifest)
    else:
        raise DataFileError(f"data file {path} is neither a .safetensors nor a .npy file")
    return [_rows(manifest, spec, array, path) for spec, array in zip(manifest.inputs, found, strict=True)]


def _npy(path: Path, manifest: ArtifactManifest) -> list[Array]:
    if len(manifest.inputs) != 1:
        names = [spec.name for spec in manifest.inputs]
        raise DataFileError(f"{path} holds one array, the version takes {names}: bring them as a .safetensors file")
    try:
        loaded: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataFileError(f"data file {path} is not a .npy file of numbers: {error}") from error
    return [loaded]


def _safetensors(path: Path, manifest: ArtifactManifest) -> list[Array]:
    wanted = [spec.name for spec in manifest.inputs]
    try:
        with safetensors.safe_open(path, framework="np") as file:
            names = sorted(file.keys())
            if not set(wanted) <= set(names):
                plain = [name for name in names if name != "labels"]
                if len(wanted) != 1 or len(plain) != 1:
                    raise DataFileError(f"data file {path} holds tensors {names[:5]}; {wanted} are needed")
                wanted = plain
            return [file.get_tensor(name) for name in wanted]
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise DataFileError(f"data file {path} is not a safetensors file of numbers: {error}") from error


def _rows(manifest: ArtifactManifest, spec: TensorSpec, array: Array, path: Path) -> Array:
    """Return the array in the shape and datatype that a request's has."""
    dtype = torch.empty(0, dtype=TORCH_OF[spec.datatype]).numpy().dtype
    if array.dtype.kind not in "fiub" or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise DataFileError(f"{path}: input {spec.name!r} is {array.dtype}; {spec.datatype} is needed")
    inner = spec.shape[1:]
    window = manifest.window
    if window is not None and window.input == spec.name and array.ndim < len(spec.shape):
        array = _windows(array.reshape(-1, inner[-1]) if array.ndim == 1 else array, window.steps, spec, path)
    elif -1 not in inner and array.ndim and array[:1].size == int(np.prod(inner)):
        array = array.reshape(-1, *inner)
    if array.ndim == 0 or not spec.fits((spec.shape[0] if spec.shape[0] != -1 else 0, *array.shape[1:])):
        raise DataFileError(f"{path}: input {spec.name!r} has shape {list(array.shape)}; {list(spec.shape)} is needed")
    return array.astype(dtype, copy=False)


def _windows(series: Array, steps: int, spec: TensorSpec, path: Path) -> Array:
    if series.shape[1:] != spec.shape[2:] or len(series) < steps:
        raise DataFileError(
            f"{path}: input {spec.name!r} has shape {list(series.shape)}; windows of shape {list(spec.shape)} or a "
            f"series of {steps} or more steps of {spec.shape[2]} are needed"
        )
    return np.lib.stride_tricks.sliding_window_view(series, steps, axis=0).transpose(0, 2, 1)
