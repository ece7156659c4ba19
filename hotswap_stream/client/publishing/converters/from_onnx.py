"""What is a graph already: onnx's ModelProto, the bytes of a file, or a file with weights beside it."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.conversion import GRAPH_NAME, ROWS_MAX, Attempt, Built, Conversion
from hotswap_stream.client.publishing.errors import ExampleError, UnsupportedModelError
from hotswap_stream.client.publishing.running import graph_inputs
from hotswap_stream.client.publishing.table import read_table

GRAPH_BYTES_MAX = 2**31 - 1
"""Size of one protobuf. More is not even read."""
_DTYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "string": "object", "bool": "bool",
    **{f"{kind}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}  # fmt: skip


def convert_proto(model: Any, example: Any) -> Conversion:
    """Return a ModelProto as it is. UnsupportedModelError where its weights are elsewhere."""
    if not hasattr(model, "graph"):
        raise UnsupportedModelError(f"a {type(model).__name__} of onnx is no model: hand in a ModelProto")
    if _places(model):
        raise UnsupportedModelError(
            "the weights of this ModelProto are in files: hand in the path of the .onnx file, with them beside it"
        )
    try:
        content = model.SerializeToString()
    except ValueError as error:
        raise UnsupportedModelError(
            f"the ModelProto cannot be written as one file ({error}): save it with save_as_external_data=True, and "
            "hand in the path"
        ) from error
    return convert_bytes(content, example)


def convert_bytes(content: bytes, example: Any) -> Conversion:
    """Return the bytes of a graph as they are."""

    def build(folder: Path) -> Built:
        file = folder / GRAPH_NAME
        file.write_bytes(content)
        return Built(file=file, inputs=_inputs(file, example))

    return _conversion(build)


def convert_file(file: Path, example: Any) -> Conversion:
    """Return a graph's file as it is, with the files that it names and that stand beside it.

    Raises:
        UnsupportedModelError: It cannot be read or is too large, names a file outside its folder, or one that is not
            there.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if (size_bytes := file.stat().st_size) > GRAPH_BYTES_MAX:
        raise UnsupportedModelError(
            f"{file} has {size_bytes} bytes; a graph's own file has at most {GRAPH_BYTES_MAX}: save it with "
            "save_as_external_data=True, which puts the weights into files beside it"
        )
    try:
        model = onnx.load_model(file, load_external_data=False)
    except (DecodeError, ValueError, RecursionError) as error:
        raise UnsupportedModelError(f"{file} cannot be read as an ONNX graph: {error}") from error
    beside = {place: _beside(file, place) for place in sorted(_places(model))}
    return _conversion(lambda _: Built(file=file, beside=beside, inputs=_inputs(file, example)))


def _conversion(build: Any) -> Conversion:
    import onnx

    return Conversion(
        framework="onnx", framework_version=onnx.__version__, attempts=(Attempt(words="as it is", build=build),)
    )


def _places(model: Any) -> set[str]:
    """Return the names of the files with weights."""
    from onnx import TensorProto

    from hotswap_stream.adapters.onnx.graph import tensors_of

    return {
        entry.value
        for tensor in tensors_of(model.graph)
        if tensor.data_location == TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _beside(file: Path, place: str) -> Path:
    folder = file.resolve().parent
    path = folder / place
    pure = PurePosixPath(place)
    if pure.is_absolute() or ".." in pure.parts or path.is_symlink() or not path.resolve().is_relative_to(folder):
        raise UnsupportedModelError(f"{file} names weights in {place[:200]!r}, which is not within its folder")
    if not path.is_file():
        raise UnsupportedModelError(f"{file} names weights in {place[:200]!r}, and there is no such file beside it")
    return path


def _inputs(file: Path, example: Any) -> dict[str, Array] | None:
    if example is None:
        return None
    types = graph_inputs(file)
    if isinstance(example, Mapping):
        given = {str(name): value for name, value in example.items()}
    elif isinstance(example, tuple) and len(example) == len(types):
        given = dict(zip(types, example, strict=True))
    elif len(types) == 1:
        table = read_table(example) if type(example).__module__.startswith("pandas") else None
        given = {next(iter(types)): example if table is None or table.matrix is None else table.matrix}
    elif type(example).__module__.startswith("pandas"):
        given = {column.name: column.values for column in read_table(example).columns or ()}
    else:
        raise ExampleError(f"the graph takes {list(types)}: hand in the example as a mapping by these names")
    if set(given) != set(types):
        raise ExampleError(f"the example has inputs {sorted(given)}; the graph takes {sorted(types)}")
    return {name: _array(name, value, types[name].type) for name, value in given.items()}


def _array(name: str, value: Any, kind: str) -> Array:
    dtype = _DTYPES.get(kind.removeprefix("tensor(").removesuffix(")"))
    if dtype is None:
        raise UnsupportedModelError(f"input {name!r} is of type {kind}, which cannot be served")
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
        array = array.astype(dtype, casting="same_kind" if array.dtype.kind == "f" else "unsafe", copy=False)
    except (TypeError, ValueError) as error:
        raise ExampleError(f"the example for input {name!r} is no {kind}: {error}") from error
    return array[:ROWS_MAX] if array.ndim else array
