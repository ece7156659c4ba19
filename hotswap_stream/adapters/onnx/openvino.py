"""A graph of a user's in OpenVINO. Files beside it are put into it: OpenVINO would look for them on disk."""

import re
from collections.abc import Mapping

from hotswap_events.registry.version_options import F32
from hotswap_stream.adapters.models.checking import Reference, compare, compare_form
from hotswap_stream.adapters.models.executor import Executor, ExecutorUnavailableError
from hotswap_stream.adapters.models.openvino import OpenVinoExecutor
from hotswap_stream.adapters.models.reading import Content
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.adapters.onnx.samples import sample_request
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

EMBEDDED_BYTES_MAX = 1024**3
"""A graph and its weights in one message: the format allows no more than 2 GiB."""


def openvino_executor(
    manifest: ArtifactManifest, files: Mapping[str, memoryview], *, threads: int, precision: str
) -> OpenVinoExecutor:
    """Return the graph in OpenVINO. ExecutorUnavailableError."""
    return OpenVinoExecutor(manifest, _one_graph(files), threads=threads, precision=precision)


def check_against(
    reference: Executor, candidate: Executor, manifest: ArtifactManifest, sizes: tuple[int, ...], precision: str
) -> None:
    """Check that a candidate computes what the reference does; of lower precision, that it computes such numbers.

    Raises:
        OutputsDifferError: It does not.
    """
    if sizes:
        check = Reference(manifest, reference, sizes[-1])
        (check.check if precision == F32 else check.check_form)(candidate, (sizes[-1], sizes[0]))
        return
    inputs = [*sample_request(manifest).values()]
    alike = compare if precision == F32 else compare_form
    alike(manifest, reference.run(inputs), candidate.run(inputs), "one request")


def has_trees(content: Content) -> bool:
    """Return whether a bundle names the operators of classical models, which OpenVINO does not know.

    It saves a process that would find out; where the name stands by chance, a graph stays with ONNX Runtime.
    """
    return re.search(rb"ai\.onnx\.ml", content if isinstance(content, bytes) else content.data) is not None


def _one_graph(files: Mapping[str, memoryview]) -> bytes:
    """Return the bundle's graph with all weights inside. ExecutorUnavailableError."""
    import onnx

    from hotswap_stream.adapters.onnx.graph import tensors_of

    graph = files[GRAPH_FILE]
    size_bytes = sum(len(content) for content in files.values())
    if size_bytes > EMBEDDED_BYTES_MAX:
        raise ExecutorUnavailableError(f"the graph has {size_bytes} bytes; OpenVINO gets {EMBEDDED_BYTES_MAX} at most")
    model = onnx.load_model_from_string(bytes(graph))
    within = (onnx.GraphProto(node=function.node) for function in model.functions)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for part in within for tensor in tensors_of(part)):
        raise ExecutorUnavailableError("a function of the graph has weights outside the graph")
    is_outside = False
    for tensor in tensors_of(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        is_outside = True
        facts = {entry.key: entry.value for entry in tensor.external_data}
        content = files.get(facts.get("location", ""))
        if content is None:
            raise ExecutorUnavailableError(f"weights {tensor.name[:100]!r} are not in the bundle")
        start = int(facts.get("offset", "0"))
        end = start + int(facts["length"]) if "length" in facts else len(content)
        tensor.ClearField("external_data")
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = bytes(content[start:end])
    return bytes(model.SerializeToString()) if is_outside else bytes(graph)
