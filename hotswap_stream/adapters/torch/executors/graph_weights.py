"""An exported graph with a version's weights in it, for an executor that takes them no other way."""

from collections.abc import Mapping
from pathlib import Path

import torch

from hotswap_stream.adapters.torch.executors.graph_maker import WRAPPED


def graph_with_weights(graph: Path, state: Mapping[str, torch.Tensor]) -> bytes:
    """Return an ONNX graph of a file that `graph_maker` wrote, with these weights inside. It copies them."""
    import onnx

    _names, _, content = graph.read_bytes().partition(b"\n")
    model = onnx.load_model_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        weights = state[tensor.name.removeprefix(WRAPPED)]
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = weights.contiguous().numpy().tobytes()
    return bytes(model.SerializeToString())
