"""Arrays of a labelled set in a safetensors file, and how texts are kept there."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hotswap_events.inference.messages import Datatype
from hotswap_stream.application.artifacts.file import TensorPlace
from hotswap_stream.application.artifacts.manifest import TensorSpec
from hotswap_stream.application.inference.byte_strings import unpack_strings
from hotswap_stream.application.training.validation_sets import ValidationSetError

Array = npt.NDArray[Any]

DTYPES: dict[str, tuple[str, Datatype]] = {
    "BOOL": ("?", "BOOL"), "U8": ("u1", "UINT8"), "U16": ("<u2", "UINT16"), "U32": ("<u4", "UINT32"),
    "U64": ("<u8", "UINT64"), "I8": ("i1", "INT8"), "I16": ("<i2", "INT16"), "I32": ("<i4", "INT32"),
    "I64": ("<i8", "INT64"), "F16": ("<f2", "FP16"), "F32": ("<f4", "FP32"), "F64": ("<f8", "FP64"),
}  # fmt: skip
"""safetensors' name → numpy's, and that of the Open Inference Protocol."""

SAFETENSORS_OF = {np.dtype(numpy).newbyteorder("="): name for name, (numpy, _) in DTYPES.items()}


def array_at(content: bytes | memoryview, name: str, place: TensorPlace) -> Array:
    """Return a tensor of a safetensors file as an array over its bytes.

    Raises:
        ValidationSetError: Its type is not known, or its bytes are not what its shape takes.
    """
    known = DTYPES.get(place.dtype)
    if known is None:
        raise ValidationSetError(
            f"array {name[:100]!r} is of type {place.dtype[:20]!r}; one of {', '.join(DTYPES)} is needed"
        )
    dtype = np.dtype(known[0])
    data = memoryview(content)[place.start : place.end]
    if math.prod(place.shape) * dtype.itemsize != len(data):
        raise ValidationSetError(
            f"array {name[:100]!r} claims shape {list(place.shape)} of {place.dtype}, and {len(data)} bytes are there"
        )
    if place.dtype == "BOOL" and (np.frombuffer(data, np.uint8) > 1).any():
        raise ValidationSetError(f"array {name[:100]!r} holds truth values that are neither 0 nor 1")
    return np.frombuffer(data, dtype).reshape(place.shape)


def texts_at(content: bytes | memoryview, spec: TensorSpec, place: TensorPlace, rows: int) -> Array:
    """Return texts that are kept as bytes: each one's length in 4 bytes, then the text.

    Raises:
        ValidationSetError: They are not as many as the shape has, or no UTF-8.
    """
    shape = (rows, *spec.shape[1:])
    data = memoryview(content)[place.start : place.end]
    try:
        texts = unpack_strings(data, math.prod(shape))
    except ValueError as error:
        raise ValidationSetError(f"texts {spec.name!r} cannot be read: {error}") from error
    array = np.empty(len(texts), object)
    array[:] = texts
    return array.reshape(shape)
