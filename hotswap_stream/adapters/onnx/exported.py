"""An architecture as a graph without weights: an artifact beside those of its versions, which hold the weights.

One graph serves all versions of an architecture, so it is in the store once, and a version is not kept twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import onnxruntime

from hotswap_stream.adapters.models.executor import EXPORTED_GRAPH, Array, ExecutorUnavailableError
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.adapters.onnx.session import GraphNotLoadedError, first_line, session_options
from hotswap_stream.application.artifacts.bundle import files_of, pack_files
from hotswap_stream.application.artifacts.file import ArtifactFormatError, read_manifest, tensor_places
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

WEIGHTS_FILE = "weights.json"
"""File of the bundle: name in the graph → name of the tensor in a version's artifact."""

_DTYPES = {
    "BOOL": "?", "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "I8": "i1", "I16": "<i2", "I32": "<i4",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
_WEIGHTS = msgspec.json.Decoder(dict[str, str])


class ExportedGraph(msgspec.Struct, frozen=True):
    """A graph, and where its weights are in a version's artifact."""

    graph: bytes
    weights: dict[str, str]


def exported_manifest(manifest: ArtifactManifest) -> ArtifactManifest:
    """Return the manifest of the graph of an architecture: what goes in and out, and nothing else."""
    return ArtifactManifest(
        kind="exported",
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        warm_up=manifest.warm_up,
        batching=manifest.batching,
    )


def pack_exported(manifest: ArtifactManifest, exported: ExportedGraph) -> bytes:
    """Return the artifact of an architecture's graph; same graph, same bytes."""
    weights = msgspec.json.encode(exported.weights, order="deterministic")
    return pack_files(exported_manifest(manifest), {GRAPH_FILE: exported.graph, WEIGHTS_FILE: weights})


def unpack_exported(manifest: ArtifactManifest, content: bytes | memoryview) -> ExportedGraph:
    """Return the graph in an artifact.

    Args:
        manifest: Of the version that it is to serve.
        content: The graph's artifact.

    Raises:
        ArtifactFormatError: It is none, or another architecture's.
    """
    found = read_manifest(content)
    if found != exported_manifest(manifest):
        raise ArtifactFormatError("the graph that was exported takes or returns something else than the version")
    files = files_of(content)
    try:
        weights = _WEIGHTS.decode(files[WEIGHTS_FILE])
        return ExportedGraph(bytes(files[GRAPH_FILE]), weights)
    except (KeyError, msgspec.DecodeError) as error:
        raise ArtifactFormatError(f"no graph without weights: {error}") from error


class ExportedExecutor:
    """An architecture's graph in ONNX Runtime, with a version's weights. One call at a time; see Executor."""

    name = EXPORTED_GRAPH

    def __init__(
        self, manifest: ArtifactManifest, exported: ExportedGraph, content: bytes | memoryview, *, threads: int
    ) -> None:
        """Build the session.

        Args:
            manifest: Of the version.
            exported: The architecture's graph.
            content: The version's artifact. The session uses its memory.
            threads: Of one operation.

        Raises:
            GraphNotLoadedError: ONNX Runtime does not take it.
            ExecutorUnavailableError: The artifact does not hold the weights.
        """
        # Kept as long as the session: it uses this memory and does not own it.
        self._arrays = _weights_of(exported.weights, content)
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in self._arrays.values()]
        self._values = values
        options = session_options(threads)
        if values:
            options.add_external_initializers(list(self._arrays), values)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                exported.graph, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # ONNX Runtime raises classes of its own that have no common base but Exception.
            raise GraphNotLoadedError(f"ONNX Runtime does not take the exported graph: {first_line(error)}") from error
        self._inputs = [found.name for found in self._session.get_inputs()]
        counts = (len(self._inputs), len(self._session.get_outputs()))
        if counts != (len(manifest.inputs), len(manifest.outputs)):
            raise GraphNotLoadedError(f"the exported graph has {counts[0]} inputs and {counts[1]} outputs")

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """See Executor."""
        outputs: list[Array] = self._session.run(None, dict(zip(self._inputs, inputs, strict=True)))
        return outputs


def _weights_of(names: Mapping[str, str], content: bytes | memoryview) -> dict[str, Array]:
    places = tensor_places(content)
    arrays: dict[str, Array] = {}
    for name, tensor in names.items():
        place = places.get(tensor)
        if place is None:
            raise ExecutorUnavailableError(f"the artifact has no weights {tensor[:100]!r}, which its graph needs")
        if place.dtype not in _DTYPES:
            raise ExecutorUnavailableError(f"weights {tensor[:100]!r} are {place.dtype[:20]}, which no graph is given")
        data = memoryview(content)[place.start : place.end]
        try:
            array = np.frombuffer(data, np.dtype(_DTYPES[place.dtype])).reshape(place.shape)
        except ValueError as error:
            raise ExecutorUnavailableError(f"weights {tensor[:100]!r} are damaged: {error}") from error
        # Writing is never done; but what is not aligned to its own size is copied.
        arrays[name] = np.require(array, requirements=["A", "C"])
    return arrays
