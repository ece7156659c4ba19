"""What an ONNX graph says of itself, read without running it: inputs, outputs, and what of it cannot be served."""

from collections.abc import Collection, Iterator
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from msgspec import Struct

from hotswap_events.inference.messages import Datatype
from hotswap_stream.errors import HotswapError

OPSET_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "ai.onnx.preview.training"})
"""Operators that ONNX Runtime brings along. No library of custom operators is ever loaded."""
IR_VERSION_MIN = 3

_DATATYPES: dict[int, Datatype] = {
    onnx.TensorProto.BOOL: "BOOL",
    onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.UINT16: "UINT16",
    onnx.TensorProto.UINT32: "UINT32",
    onnx.TensorProto.UINT64: "UINT64",
    onnx.TensorProto.INT8: "INT8",
    onnx.TensorProto.INT16: "INT16",
    onnx.TensorProto.INT32: "INT32",
    onnx.TensorProto.INT64: "INT64",
    onnx.TensorProto.FLOAT16: "FP16",
    onnx.TensorProto.FLOAT: "FP32",
    onnx.TensorProto.DOUBLE: "FP64",
    onnx.TensorProto.STRING: "BYTES",
}

NEITHER = "neither a safetensors file nor an ONNX graph"


class UnsupportedGraphError(HotswapError):
    """The file is no ONNX graph, or one that cannot be served; the message says why, and what would do."""


class GraphTensor(Struct, frozen=True):
    """An input or output as the graph declares it."""

    name: str
    datatype: Datatype
    dimensions: tuple[int | str, ...] | None
    """Sizes; a free one by its name, which is empty where it has none. None: the graph does not say how many."""


class GraphSignature(Struct, frozen=True):
    """What goes in and out."""

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    ir_version: int
    opsets: dict[str, int]
    producer: str


def read_signature(content: bytes, beside: Collection[str] = ()) -> GraphSignature:
    """Return what the graph declares.

    Args:
        content: The graph's file.
        beside: Names of the files that come with it, for weights outside the graph.

    Raises:
        UnsupportedGraphError: It cannot be served.
    """
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError, RecursionError) as error:
        raise UnsupportedGraphError(f"{NEITHER}: it cannot be read as one ({error})") from error
    if not model.ir_version or not model.graph.node or not model.graph.output:
        raise UnsupportedGraphError(f"{NEITHER}: it has no version, no operations or no outputs")
    _check_versions(model)
    _check_external(model, beside)
    given = {tensor.name for tensor in model.graph.initializer}
    given |= {tensor.values.name for tensor in model.graph.sparse_initializer}
    inputs = tuple(_tensor(value, "input") for value in model.graph.input if value.name not in given)
    outputs = tuple(_tensor(value, "output") for value in model.graph.output)
    if not inputs:
        raise UnsupportedGraphError(
            "the graph takes no inputs; a model that answers the same to all is no graph's work"
        )
    for what, tensors in (("input", inputs), ("output", outputs)):
        names = [tensor.name for tensor in tensors]
        if len(set(names)) != len(names):
            raise UnsupportedGraphError(f"the graph names an {what} twice: {sorted(names)}")
    return GraphSignature(
        inputs,
        outputs,
        model.ir_version,
        {opset.domain: opset.version for opset in model.opset_import},
        f"{model.producer_name} {model.producer_version}".strip()[:200],
    )


def _check_versions(model: Any) -> None:
    if not IR_VERSION_MIN <= model.ir_version <= onnx.IR_VERSION:
        raise UnsupportedGraphError(
            f"the graph's IR version is {model.ir_version}; {IR_VERSION_MIN} to {onnx.IR_VERSION} can be served: "
            "convert it with onnx.version_converter, or export it for an older one"
        )
    functions = {function.domain for function in model.functions}
    for opset in model.opset_import:
        if opset.domain not in OPSET_DOMAINS | functions:
            raise UnsupportedGraphError(
                f"the graph needs operators of domain {opset.domain[:100]!r}; those of ONNX and of ONNX Runtime can be "
                "served, libraries of custom operators are not loaded"
            )
        newest = onnx.defs.onnx_opset_version()
        if opset.domain in ("", "ai.onnx") and opset.version > newest:
            raise UnsupportedGraphError(
                f"the graph needs opset {opset.version}; up to {newest} can be served: export it with opset_version "
                f"{newest}"
            )


def _check_external(model: Any, beside: Collection[str]) -> None:
    for tensor in tensors_of(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if location not in beside:
            raise UnsupportedGraphError(
                f"the weights {tensor.name[:100]!r} are in the file {location[:200]!r}, which is not beside the graph; "
                "hand in both, or save the graph with its weights inside"
            )


def tensors_of(graph: Any) -> Iterator[Any]:
    """Yield all tensors of a graph and of the graphs within it."""
    graphs = [graph]
    while graphs:
        found = graphs.pop()
        yield from found.initializer
        for sparse in found.sparse_initializer:
            yield sparse.values
            yield sparse.indices
        for node in found.node:
            for attribute in node.attribute:
                yield attribute.t
                yield from attribute.tensors
                if attribute.HasField("g"):
                    graphs.append(attribute.g)
                graphs.extend(attribute.graphs)


def _tensor(value: Any, what: str) -> GraphTensor:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        hint = ""
        if what == "output" and kind == "sequence_type":
            hint = "; of a scikit-learn classifier converted with skl2onnx: give options={'zipmap': False}"
        raise UnsupportedGraphError(
            f"{what} {value.name[:100]!r} is a {(kind or 'thing of no type').removesuffix('_type')}, not a tensor{hint}"
        )
    tensor = value.type.tensor_type
    datatype = _DATATYPES.get(tensor.elem_type)
    if datatype is None:
        name = onnx.TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type in _known_types() else "unknown"
        raise UnsupportedGraphError(
            f"{what} {value.name[:100]!r} is of type {name}; {', '.join(sorted(set(_DATATYPES.values())))} can be "
            "served: cast it in the graph"
        )
    if not tensor.HasField("shape"):
        return GraphTensor(value.name, datatype, None)
    return GraphTensor(value.name, datatype, tuple(_size(dimension) for dimension in tensor.shape.dim))


def _size(dimension: Any) -> int | str:
    if dimension.HasField("dim_value") and dimension.dim_value > 0:
        return int(dimension.dim_value)
    return str(dimension.dim_param)


def _known_types() -> Collection[int]:
    known: Collection[int] = onnx.TensorProto.DataType.values()
    return known
