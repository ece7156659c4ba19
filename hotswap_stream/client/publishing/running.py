"""The graph in ONNX Runtime, one thread, as the workers' reference computes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.client.publishing.errors import ExampleError, UnsupportedModelError


def run_graph(file: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return what a graph answers, by the names of its outputs. Files beside it are read where it stands.

    Raises:
        ExampleError: The inputs do not fit.
        UnsupportedModelError: ONNX Runtime does not take the graph.
    """
    session = _session(file)
    names = [output.name for output in session.get_outputs()]
    known = [given.name for given in session.get_inputs()]
    if set(known) != set(inputs):
        raise ExampleError(f"the example has inputs {sorted(inputs)}; the graph takes {sorted(known)}")
    try:
        outputs: list[Array] = session.run(names, dict(inputs))
    except Exception as error:
        # ONNX Runtime raises classes of its own that have no common base but Exception.
        raise ExampleError(f"the graph does not take the example: {first_line(error)}") from error
    return dict(zip(names, outputs, strict=True))


class GraphInput(Struct, frozen=True):
    """An input as a graph declares it."""

    type: str
    """In ONNX Runtime's words."""
    dimensions: tuple[int | str | None, ...]
    """A number where the size is fixed."""

    def usual(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return the shape of one row as the example has it; None where the graph says all that is needed."""
        fixed = [isinstance(size, int) for size in self.dimensions]
        if len(shape) != len(fixed) or all(fixed[1:]):
            return None
        return shape if fixed[0] else (1, *shape[1:])


def graph_inputs(file: Path) -> dict[str, GraphInput]:
    """Return the inputs of a graph by their names. UnsupportedModelError."""
    return {given.name: GraphInput(given.type, tuple(given.shape)) for given in _session(file).get_inputs()}


def first_line(error: Exception) -> str:
    """Return what an error says, cut to one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UnsupportedModelError(f"ONNX Runtime does not take the graph: {first_line(error)}") from error
