"""What XGBoost's and LightGBM's converters share: one array of 32-bit floats goes in, or columns put side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.conversion import GRAPH_NAME, Attempt, Built
from hotswap_stream.client.publishing.errors import ExampleError, UnsupportedModelError
from hotswap_stream.client.publishing.graph_edits import declare_shapes, join_columns, one_opset_each
from hotswap_stream.client.publishing.running import run_graph
from hotswap_stream.client.publishing.table import MATRIX, Table, as_floats


def attempt(
    table: Table, convert: Callable[[list[tuple[str, Any]]], Any], answers: Callable[[], list[Array]]
) -> Attempt:
    """Return the only way to convert a booster.

    Args:
        table: The example.
        convert: Makes the graph of initial types, as onnxmltools has them.
        answers: What the model answers to the example, in the order of the graph's outputs.
    """

    def build(folder: Path) -> Built:
        from onnxmltools.convert.common.data_types import FloatTensorType

        if table.matrix is None:
            texts = [column.name for column in table.columns or () if column.kind == "text"]
            raise ExampleError(
                f"columns {texts} hold texts or categories, which the graph of a booster cannot take: encode them "
                "before, in a scikit-learn pipeline whose last step is the booster"
            )
        matrix = as_floats(table.matrix, "float32")
        graph = convert([(MATRIX, FloatTensorType([None, matrix.shape[1]]))])
        inputs = {MATRIX: matrix}
        if table.columns is not None:
            join_columns(graph, table.columns)
            inputs = {
                column.name: column.values.astype("float32") if column.kind == "float" else column.values
                for column in table.columns
            }
        one_opset_each(graph)
        file = folder / GRAPH_NAME
        file.write_bytes(graph.SerializeToString())
        # LightGBM's converter declares [1] for labels of which there is one a row.
        declare_shapes(graph, run_graph(file, inputs), len(matrix))
        file.write_bytes(graph.SerializeToString())
        names, wanted = [output.name for output in graph.graph.output], answers()
        if len(names) != len(wanted):
            raise UnsupportedModelError(f"the graph has outputs {names}; the model answers {len(wanted)}")
        return Built(file=file, inputs=inputs, wanted=dict(zip(names, wanted, strict=True)))

    return Attempt(words="float32", build=build)


def two_columns(positive: Array) -> list[Array]:
    """Return label and scores of both classes, from the score of the second one."""
    return [(positive > 0.5).astype(np.int64), np.stack([1 - positive, positive], axis=1)]
