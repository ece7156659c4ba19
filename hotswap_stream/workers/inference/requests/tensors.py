"""OIP tensors ↔ numpy arrays, checked against what the model declares."""

from typing import Any

import numpy as np
import numpy.typing as npt

from hotswap_events.inference.messages import Datatype, InferTensor
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.inference.byte_strings import pack_strings, texts_of, unpack_strings
from hotswap_stream.application.inference.tensor_values import flatten
from hotswap_stream.workers.inference.requests.number_lists import all_exact, pack_numbers

Array = npt.NDArray[Any]

NUMPY_DTYPES: dict[Datatype, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""BYTES: arrays of Python texts."""
DATATYPE_OF: dict[np.dtype[Any], Datatype] = {
    dtype.newbyteorder(order): name for name, dtype in NUMPY_DTYPES.items() for order in ("<", ">")
}
"""By dtype and not by its name, which numpy puts together each time."""

ROWS_MAX = 1_024
"""Rows (first dimension) of one request."""


class WrongInputError(ValueError):
    """The request's tensors do not fit the model; the message says what would."""


def read_inputs(manifest: ArtifactManifest, tensors: list[InferTensor]) -> dict[str, Array]:
    """Return input name → array of the declared type and shape.

    Raise WrongInputError, which says what is wrong and what would be right.
    """
    wanted = {spec.name: spec for spec in manifest.inputs}
    given = [tensor.name for tensor in tensors]
    if sorted(given) != sorted(wanted):
        raise WrongInputError(f"inputs are {given}; the model takes {sorted(wanted)}, each once")
    rows_max = ROWS_MAX if manifest.has_rows else None
    arrays = {
        tensor.name: read_tensor(wanted[tensor.name], tensor, manifest.allow_non_finite, rows_max=rows_max)
        for tensor in tensors
    }
    if not manifest.has_rows:
        return arrays
    rows = {array.shape[0] for array in arrays.values()}
    if len(rows) != 1:
        raise WrongInputError(f"inputs have different numbers of rows: {sorted(rows)}")
    return arrays


def read_tensor(
    spec: TensorSpec, tensor: InferTensor, allow_non_finite: bool, *, rows_max: int | None = ROWS_MAX
) -> Array:
    """Return one tensor as an array of the declared type and shape. `rows_max` None: it has no rows.

    Raise WrongInputError as `read_inputs` does.
    """
    name, shape = tensor.name, tuple(tensor.shape)
    if tensor.datatype != spec.datatype:
        raise WrongInputError(f"input {name!r} has datatype {tensor.datatype}; the model takes {spec.datatype}")
    if not spec.fits(shape):
        raise WrongInputError(f"input {name!r} has shape {list(shape)}; the model takes {list(spec.shape)} (-1: free)")
    if rows_max is not None and not 1 <= shape[0] <= rows_max:
        raise WrongInputError(f"input {name!r} has {shape[0]} rows; 1 to {rows_max} are allowed")
    dtype = NUMPY_DTYPES[tensor.datatype]
    elements = 1
    for size in shape:
        elements *= size
    if tensor.datatype == "BYTES":
        return _texts(tensor, shape, elements)
    if isinstance(tensor.data, bytes):
        if len(tensor.data) != elements * dtype.itemsize:
            raise WrongInputError(
                f"input {name!r} has {len(tensor.data)} bytes; shape {list(shape)} of {tensor.datatype} takes "
                f"{elements * dtype.itemsize}"
            )
        array: Array = np.frombuffer(tensor.data, dtype=dtype).reshape(shape)
    else:
        packed = pack_numbers(tensor.datatype, tensor.data, elements)
        if packed is not None:
            array = np.frombuffer(packed, dtype=dtype).reshape(shape)
        if packed is None or not all_exact(array):
            array = _from_list(name, tensor.data, dtype, shape, elements)
    if not allow_non_finite and dtype.kind == "f" and not np.isfinite(array).all():
        raise WrongInputError(f"input {name!r} holds NaN or infinity, which the model's manifest does not allow")
    return array


def _texts(tensor: InferTensor, shape: tuple[int, ...], elements: int) -> Array:
    """Return an array of texts. Their number is checked before anything of that size is made."""
    try:
        if isinstance(tensor.data, bytes):
            texts = unpack_strings(tensor.data, elements)
        else:
            texts = texts_of(flatten(tensor.data))
    except ValueError as error:
        raise WrongInputError(f"input {tensor.name!r} cannot be read as texts: {error}") from error
    if len(texts) != elements:
        raise WrongInputError(
            f"input {tensor.name!r} has {len(texts)} texts; shape {list(shape)} takes {elements}, flat or nested"
        )
    array: Array = np.empty(elements, dtype=object)
    array[:] = texts
    return array.reshape(shape)


def _from_list(name: str, data: list[Any], dtype: np.dtype[Any], shape: tuple[int, ...], elements: int) -> Array:
    try:
        with np.errstate(over="raise"):
            array = np.asarray(data)
            if array.dtype.kind not in "biuf" or (array.dtype.kind == "f" and dtype.kind != "f"):
                raise WrongInputError(f"input {name!r} holds values that are not numbers of the declared datatype")
            if dtype.kind in "biu" and array.size:
                _check_range(name, array, dtype)
            array = array.astype(dtype)
    except (ValueError, TypeError, OverflowError, FloatingPointError) as error:
        if isinstance(error, WrongInputError):
            raise
        raise WrongInputError(f"input {name!r} cannot be read as a tensor: {error}") from error
    if array.shape not in ((elements,), shape):
        raise WrongInputError(
            f"input {name!r} has data of shape {list(array.shape)}; {elements} values, flat or nested as "
            f"{list(shape)}, are needed"
        )
    return array.reshape(shape)


def _check_range(name: str, array: Array, dtype: np.dtype[Any]) -> None:
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if array.min() < low or array.max() > high:
        raise WrongInputError(f"input {name!r} holds values outside {low}…{high}")


def write_outputs(outputs: dict[str, Array], *, raw: bool) -> list[InferTensor]:
    """Return arrays as OIP tensors: `raw` as little-endian bytes, else as flat lists."""
    tensors = []
    for name, array in outputs.items():
        datatype = DATATYPE_OF[array.dtype]
        data: list[Any] | bytes
        if raw and datatype == "BYTES":
            data = pack_strings(array.ravel().tolist())
        elif raw:
            data = np.ascontiguousarray(array, dtype=NUMPY_DTYPES[datatype]).tobytes()
        else:
            data = array.ravel().tolist()
        tensors.append(InferTensor(name=name, shape=list(array.shape), datatype=datatype, data=data))
    return tensors
