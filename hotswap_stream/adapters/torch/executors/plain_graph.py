"""A graph of this machine's cache as one that may leave it: without the exporter's notes, the same on every machine."""

import msgspec
import onnx

from hotswap_stream.adapters.onnx.exported import ExportedGraph
from hotswap_stream.adapters.torch.executors.graph_maker import WRAPPED


def plain_graph(content: bytes) -> ExportedGraph:
    """Return the graph in a file that `graph_maker` wrote.

    The exporter notes the lines of code that each operation comes from, with paths of the machine: they are left out.
    """
    first_line, _, encoded = content.partition(b"\n")
    names = msgspec.json.decode(first_line, type=list[str])
    model = onnx.load_model_from_string(encoded)
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        graph.ClearField("metadata_props")
        graph.ClearField("doc_string")
        for noted in (*graph.node, *graph.value_info):
            noted.ClearField("metadata_props")
            noted.ClearField("doc_string")
            if isinstance(noted, onnx.NodeProto):
                graphs.extend(attribute.g for attribute in noted.attribute if attribute.HasField("g"))
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    return ExportedGraph(model.SerializeToString(deterministic=True), {f"{WRAPPED}{name}": name for name in names})
