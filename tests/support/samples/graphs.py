"""ONNX graphs as users bring them, and as somebody would write them who means harm. Four features go in."""

from collections.abc import Sequence

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

Dimension = int | str


def value(name: str, shape: Sequence[Dimension] = ("N", 4), kind: int = TensorProto.FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def graph_bytes(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
    domains: Sequence[str] = (),
) -> bytes:
    """The file of a graph of opset 17."""
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(weights))
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model: ModelProto = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    return bytes(model.SerializeToString())


def floats(name: str, array: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.astype(np.float32).ravel())


def linear(scale: float = 1.0, outputs: Sequence[Dimension] = ("N", 2)) -> bytes:
    """Both outputs are the sum of all features, times `scale`."""
    weights = floats("w", np.full((4, 2), scale, np.float32))
    return graph_bytes([helper.make_node("MatMul", ["x", "w"], ["y"])], [value("x")], [value("y", outputs)], [weights])


def centered() -> bytes:
    """Each row less the mean of all: rows cannot be answered together with those of others."""
    mean = helper.make_node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1)
    return graph_bytes([mean, helper.make_node("Sub", ["x", "m"], ["y"])], [value("x")], [value("y")])


def repeating() -> bytes:
    """Texts in, the same texts out."""
    node = helper.make_node("Identity", ["s"], ["t"])
    return graph_bytes([node], [value("s", ["N"], TensorProto.STRING)], [value("t", ["N"], TensorProto.STRING)])


def with_operator(name: str, domain: str = "") -> bytes:
    node = helper.make_node(name, ["x"], ["y"], domain=domain)
    return graph_bytes([node], [value("x")], [value("y")], domains=[domain] if domain else [])


def endless() -> bytes:
    """A loop whose condition is never false."""
    body: GraphProto = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["v"], ["v2"])],
        "body",
        [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("v")],
        [value("c2", [], TensorProto.BOOL), value("v2")],
    )
    true = helper.make_tensor("t", TensorProto.BOOL, [], [True])
    return graph_bytes([helper.make_node("Loop", ["", "t", "x"], ["y"], body=body)], [value("x")], [value("y")], [true])


def vast() -> bytes:
    """A few bytes that ask for 100 GB."""
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [10**6, 25 * 10**3])
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceSum", ["big"], ["r"], keepdims=0),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    return graph_bytes(nodes, [value("x")], [value("y")], [shape])


def with_weights_beside(place: str) -> bytes:
    """A graph that says its weights are in the file `place`."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 2], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=place)
    return graph_bytes([helper.make_node("MatMul", ["x", "w"], ["y"])], [value("x")], [value("y", ("N", 2))], [weights])


def stateful() -> bytes:
    """Five samples at least, a state [2, 1, 3] that goes in and comes out, and a rate as a scalar."""
    one, step = (helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("o", 1), ("k", 5)))
    nodes = [
        helper.make_node("Slice", ["samples", "o", "k", "o"], ["part"]),
        helper.make_node("Reshape", ["part", "fours"], ["steps"]),
        helper.make_node("ReduceMean", ["steps"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Cast", ["rate"], ["hertz"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["mean", "hertz"], ["loudness"]),
        helper.make_node("Reshape", ["state", "shape"], ["kept"]),
        helper.make_node("Add", ["kept", "mean"], ["next"]),
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [3], [2, 1, 3])
    fours = helper.make_tensor("fours", TensorProto.INT64, [2], [1, 4])
    return graph_bytes(
        nodes,
        [value("samples", ("", "")), value("state", (2, "", 3)), value("rate", (), TensorProto.INT64)],
        [value("loudness", ("", 1)), value("next", ("", "", ""))],
        [one, step, shape, fours],
    )


def unlike_in_batches(rows: int = 4) -> bytes:
    """Rows are computed otherwise where there are as many as `rows` in a batch: all are a tenth more."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], start=0, end=1),
        helper.make_node("Equal", ["shape", "n"], ["is"]),
        helper.make_node("Where", ["is", "more", "same"], ["factor"]),
        helper.make_node("Mul", ["x", "factor"], ["y"]),
    ]
    weights = [
        helper.make_tensor("n", TensorProto.INT64, [1], [rows]),
        helper.make_tensor("more", TensorProto.FLOAT, [1], [1.1]),
        helper.make_tensor("same", TensorProto.FLOAT, [1], [1.0]),
    ]
    return graph_bytes(nodes, [value("x")], [value("y")], weights)


def network() -> bytes:
    """Two layers whose numbers lower precision changes: 64 hidden units."""
    generator = np.random.default_rng(7)
    weights = [
        floats("w1", generator.standard_normal((4, 64), np.float32)),
        floats("w2", generator.standard_normal((64, 2), np.float32)),
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"]),
        helper.make_node("Tanh", ["h"], ["a"]),
        helper.make_node("MatMul", ["a", "w2"], ["y"]),
    ]
    return graph_bytes(nodes, [value("x")], [value("y", ("N", 2))], weights)


def named_twice() -> bytes:
    """Two inputs of one name."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return graph_bytes([node], [value("x"), value("x")], [value("y")])


def claiming(size_bytes: int) -> bytes:
    """A graph whose first field says that it has that number of bytes."""
    length, tag = bytearray(), b"\x3a"  # the graph, a field of its own length
    while size_bytes >= 0x80:
        length.append(size_bytes & 0x7F | 0x80)
        size_bytes >>= 7
    return b"\x08\x09" + tag + bytes([*length, size_bytes]) + b"graph"
