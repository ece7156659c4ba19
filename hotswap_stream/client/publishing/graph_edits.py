"""Changes to a graph that leave what it computes as it is: names, columns as inputs, shapes that are true."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.table import MATRIX, Column

_ELEMENT = {"float": TensorProto.FLOAT, "integer": TensorProto.INT64, "bool": TensorProto.BOOL}
OPSET = 18
ROWS = "rows"


def join_columns(model: Any, columns: Sequence[Column]) -> None:
    """Let a graph whose input is one array of floats take its columns one by one, under their names."""
    (matrix,) = model.graph.input
    element = matrix.type.tensor_type.elem_type
    taken = {matrix.name, *(node_output for node in model.graph.node for node_output in node.output)}
    inputs, nodes, parts = [], [], []
    for index, column in enumerate(columns):
        kind = element if column.kind == "float" else _ELEMENT[column.kind]
        inputs.append(helper.make_tensor_value_info(column.name, kind, [ROWS, 1]))
        part = column.name
        if kind != element:
            part = _free_name(f"{MATRIX}_{index}", taken)
            nodes.append(helper.make_node("Cast", [column.name], [part], to=element))
        parts.append(part)
    clash = taken & {column.name for column in columns}
    joined = _free_name("joined_columns", taken)
    for name in clash:
        rename(model, name, _free_name(f"inner_{name}", taken))
    old = model.graph.input[0].name
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    nodes.append(helper.make_node("Concat", parts, [joined], axis=1))
    for node in model.graph.node:
        node.input[:] = [joined if name == old else name for name in node.input]
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    _need_opset(model)


def rename_inputs(model: Any, names: Sequence[str]) -> None:
    """Name the inputs anew, in their order."""
    olds = [value.name for value in model.graph.input]
    for index, old in enumerate(olds):
        rename(model, old, f"hotswap_input_{index}")
    for index, new in enumerate(names):
        taken = {node_output for node in model.graph.node for node_output in node.output}
        if new in taken:
            rename(model, new, _free_name(f"inner_{index}", taken))
        rename(model, f"hotswap_input_{index}", new)


def rename(model: Any, old: str, new: str) -> None:
    """Rename a value of the outer graph wherever it stands."""
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        if value.name == old:
            value.name = new
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


def declare_shapes(model: Any, found: Mapping[str, Array], rows: int) -> None:
    """Declare the shapes of outputs as they come: some converters say [1] of what has a row for each of the input's."""
    for value in model.graph.output:
        array = found[value.name]
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for index, size in enumerate(array.shape):
            if index == 0 and size == rows:
                shape.dim.add(dim_param=ROWS)
            else:
                shape.dim.add(dim_value=size)
    for value in model.graph.input:
        shape = value.type.tensor_type.shape
        if shape.dim and not shape.dim[0].dim_value:
            shape.dim[0].dim_param = ROWS


def allow_unknown_categories(model: Any) -> bool:
    """Let one-hot encoders take what they do not know for none of their categories; return whether one did not.

    In a graph the error of one row would be that of all rows of its batch.
    """
    changed = False
    for node in model.graph.node:
        for attribute in node.attribute if node.op_type == "OneHotEncoder" else ():
            if attribute.name == "zeros" and not attribute.i:
                attribute.i = 1
                changed = True
    return changed


def one_opset_each(model: Any) -> None:
    """Keep one version of each set of operators; a converter may name one twice."""
    newest: dict[str, int] = {}
    for opset in model.opset_import:
        newest[opset.domain] = max(newest.get(opset.domain, 0), opset.version)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in newest.items())


def _need_opset(model: Any) -> None:
    one_opset_each(model)
    if not any(opset.domain in ("", "ai.onnx") for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", OPSET))
        model.ir_version = max(model.ir_version, onnx.helper.find_min_ir_version_for(model.opset_import, True))


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
