"""ONNX Runtime on the CPU, over a graph whose weights stand in it or in files beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from hotswap_stream.adapters.models.executor import Array
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.errors import HotswapError

NO_FOLDER = "/nonexistent/hotswap-stream"
"""Where ONNX Runtime looks for files that are not in the bundle: nowhere."""


class GraphNotLoadedError(HotswapError):
    """ONNX Runtime does not take the graph; the message says why."""


class OnnxGraphExecutor:
    """A graph in ONNX Runtime, full precision. One call at a time; see Executor."""

    name = "onnxruntime"

    def __init__(self, manifest: ArtifactManifest, files: Mapping[str, memoryview], *, threads: int = 1) -> None:
        """Build the session.

        Args:
            manifest: Names and order of inputs and outputs.
            files: Of the bundle.
            threads: Of one operation.

        Raises:
            GraphNotLoadedError: ONNX Runtime does not take it.
        """
        self._inputs = [spec.name for spec in manifest.inputs]
        self._outputs = [spec.name for spec in manifest.outputs]
        self._session = open_session(files, threads=threads)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """See Executor."""
        outputs: list[Array] = self._session.run(self._outputs, dict(zip(self._inputs, inputs, strict=True)))
        return outputs


def session_options(threads: int) -> Any:
    """Return what all sessions have in common: full precision, one thread's work, no file but those handed in."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Threads that wait by spinning would take the core from the Kafka client.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", NO_FOLDER)
    return options


def open_session(files: Mapping[str, memoryview], *, threads: int) -> Any:
    """Return ONNX Runtime's session of a bundle's graph. GraphNotLoadedError."""
    graph = files.get(GRAPH_FILE)
    if graph is None:
        raise GraphNotLoadedError(f"the bundle has no {GRAPH_FILE!r}; it holds {sorted(files)[:10]}")
    options = session_options(threads)
    beside = {name: content for name, content in files.items() if name != GRAPH_FILE}
    if beside:
        options.add_external_initializers_from_files_in_memory(
            list(beside), list(beside.values()), [len(content) for content in beside.values()]
        )
    try:
        return onnxruntime.InferenceSession(bytes(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # ONNX Runtime raises classes of its own that have no common base but Exception.
        raise GraphNotLoadedError(f"ONNX Runtime does not take the graph: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Return what an error says in its first line, of at most 1,000 characters."""
    text = str(error)
    return (text.splitlines() or [type(error).__name__])[0][:1_000]
