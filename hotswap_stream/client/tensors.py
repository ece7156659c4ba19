"""What callers hand in and get back ↔ tensors of the protocol. numpy is imported only where it is there."""

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from hotswap_events.inference.messages import DATATYPE_BYTES, InferTensor
from hotswap_stream.application.inference.byte_strings import pack_strings, texts_of
from hotswap_stream.application.inference.tensor_values import flat_values, flatten, nest, shape_of

_DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    **{f"{kind}{bits}": f"{kind}{bits}".upper() for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}
_DTYPES = {datatype: name for name, datatype in _DATATYPES.items()}


def infer_tensors(inputs: Mapping[str, Any]) -> list[InferTensor]:
    """Return tensors for inputs by name: numpy arrays, torch tensors, nested lists or InferTensors.

    Arrays keep their datatype; those of texts (numpy's `str_` or objects) become BYTES. Lists of floats become FP32, of
    integers INT64, of booleans BOOL, of texts BYTES: for another datatype hand in an array or an InferTensor.
    ValueError for what is no tensor.
    """
    return [_infer_tensor(name, value) for name, value in inputs.items()]


def _infer_tensor(name: str, value: Any) -> InferTensor:
    if isinstance(value, InferTensor):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "dtype") and hasattr(value, "tobytes"):
        if value.dtype.kind in "OUS":
            return _texts(name, value.ravel().tolist(), list(value.shape))
        datatype = _DATATYPES.get(value.dtype.name)
        if datatype is None:
            raise ValueError(
                f"input {name!r} has dtype {value.dtype}; one of {', '.join(_DATATYPES)}, or texts, is needed"
            )
        raw = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
        return InferTensor(name=name, shape=list(value.shape), datatype=datatype, data=raw)  # type: ignore[arg-type]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"input {name!r} is a {type(value).__name__}; an array, a tensor or a nested list is needed")
    try:
        shape = shape_of(value)
    except ValueError as error:
        raise ValueError(f"input {name!r}: {error}") from error
    values = flatten(value)
    kinds = {type(number) for number in values}
    if kinds and kinds <= {bool}:
        return InferTensor(name=name, shape=list(shape), datatype="BOOL", data=values)
    if kinds and kinds <= {int}:
        return InferTensor(name=name, shape=list(shape), datatype="INT64", data=values)
    if kinds <= {int, float}:
        return InferTensor(name=name, shape=list(shape), datatype="FP32", data=values)
    if kinds <= {str, bytes}:
        return _texts(name, values, list(shape))
    raise ValueError(
        f"input {name!r} holds {sorted(kind.__name__ for kind in kinds)}; numbers alone or texts alone are needed"
    )


def _texts(name: str, values: list[Any], shape: list[int]) -> InferTensor:
    """Raw, so that it passes as every other array does."""
    try:
        return InferTensor(name=name, shape=shape, datatype="BYTES", data=pack_strings(texts_of(values)))
    except ValueError as error:
        raise ValueError(f"input {name!r}: {error}") from error


def output_value(tensor: InferTensor) -> Any:
    """Return an output as a numpy array of its own where numpy is installed, else as nested lists; texts as objects."""
    if find_spec("numpy") is None:
        return nest(flat_values(tensor), tensor.shape)
    import numpy as np

    if tensor.datatype == "BYTES":
        texts = np.empty(math.prod(tensor.shape), dtype=object)
        texts[:] = flat_values(tensor)
        return texts.reshape(tensor.shape)
    if not isinstance(tensor.data, bytes):
        return np.asarray(flat_values(tensor), dtype=_DTYPES[tensor.datatype]).reshape(tensor.shape)
    dtype = np.dtype(_DTYPES[tensor.datatype])
    wire = dtype if DATATYPE_BYTES[tensor.datatype] == 1 else dtype.newbyteorder("<")
    return np.frombuffer(tensor.data, dtype=wire).astype(dtype).reshape(tensor.shape)
