"""OpenVINO on the CPU: another executor of graphs, in the graph's own precision or, where it is asked for, in bf16."""

import importlib.util
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import structlog

from hotswap_events.registry.version_options import BF16, F32
from hotswap_stream.adapters.models.executor import Array, ExecutorUnavailableError
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, Package
from hotswap_stream.application.plugins.names import MissingPlugin, MissingPluginError

NAME = "openvino"
_SENDS_DATA = "openvino.tools.ovc"
"""Importing this part of the package tells its maker that it was imported, over the network. Nothing here needs it."""

_log = structlog.get_logger(__name__)


def is_installed() -> bool:
    """Return whether OpenVINO can be had here. It is not imported for that."""
    return importlib.util.find_spec(NAME) is not None


def need() -> None:
    """Raise MissingPluginError unless OpenVINO is installed here."""
    if not is_installed():
        raise MissingPluginError(
            MissingPlugin(kind="executor", name=NAME, package=Package(name=NAME)),
            "pip install 'hotswap-stream[openvino]'",
        )


class OpenVinoExecutor:
    """A graph in OpenVINO. One call at a time; see Executor."""

    name = NAME

    def __init__(
        self,
        manifest: ArtifactManifest,
        graph: bytes,
        *,
        threads: int = 1,
        precision: str = F32,
        by_name: bool = True,
    ) -> None:
        """Read and compile the graph.

        Args:
            manifest: Names and order of inputs and outputs.
            graph: An ONNX graph that holds its weights.
            threads: That compute, the caller's among them.
            precision: `f32` or `bf16`. It is always said: by itself OpenVINO takes bf16 on processors that have it.
            by_name: Whether inputs and outputs have the manifest's names in the graph; else they have its order.

        Raises:
            ExecutorUnavailableError: OpenVINO does not take the graph, or this processor not the precision.
        """
        if any(spec.datatype == "BYTES" for spec in (*manifest.inputs, *manifest.outputs)):
            raise ExecutorUnavailableError("OpenVINO does not compute texts")
        core = _core()
        try:
            model = core.read_model(graph)
            compiled = core.compile_model(model, "CPU", _properties(threads, precision))
        except Exception as error:
            # Whatever the library raises: a graph from elsewhere is no reason to end here.
            raise ExecutorUnavailableError(f"OpenVINO does not take the graph: {_first_line(error)}") from error
        _check_precision(compiled, precision)
        try:
            self._inputs = _ports(compiled.inputs, [spec.name for spec in manifest.inputs], by_name)
            self._outputs = _ports(compiled.outputs, [spec.name for spec in manifest.outputs], by_name)
        except KeyError as error:
            raise ExecutorUnavailableError(f"OpenVINO does not find {error} in the graph") from error
        self._request = compiled.create_infer_request()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """See Executor."""
        # Shared always or never: what is copied goes to where the former input is, which would be the caller's memory.
        found = self._request.infer(dict(zip(self._inputs, inputs, strict=True)), share_inputs=True)
        return [found[port] for port in self._outputs]


@cache
def _core() -> Any:
    """Import OpenVINO, without the part that sends data, and return what compiles."""
    if NAME not in sys.modules and _SENDS_DATA not in sys.modules:
        sys.modules[_SENDS_DATA] = None  # type: ignore[assignment]  # the import of it fails, which OpenVINO expects
        try:
            import openvino
        finally:
            del sys.modules[_SENDS_DATA]
    else:
        import openvino
    return openvino.Core()


def _properties(threads: int, precision: str) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": precision,
        # No other shortcut is taken than the one that is asked for.
        "EXECUTION_MODE_HINT": "ACCURACY" if precision == F32 else "PERFORMANCE",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # A worker has other threads, and others have the machine.
        "ENABLE_CPU_PINNING": False,
    }


def has_bf16() -> bool:
    """Return whether this processor has instructions for bf16; if not, OpenVINO may emulate them, slowly."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _check_precision(compiled: Any, precision: str) -> None:
    taken = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
    if taken != {F32: "f32", BF16: "bf16"}.get(precision):
        raise ExecutorUnavailableError(f"this processor does not compute with {precision}; OpenVINO would take {taken}")
    if precision == BF16 and not has_bf16():
        _log.warning("precision_emulated", precision=precision, reason="this processor has no instructions for it")


def _ports(ports: Sequence[Any], names: Sequence[str], by_name: bool) -> list[Any]:
    """Return the ports in the order of the names. KeyError with a name that none has."""
    if not by_name:
        return list(ports)
    known = {name: port for port in ports for name in port.get_names()}
    return [known[name] for name in names]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The first line says where in OpenVINO's source, the last one what is wrong.
    return (lines[-1] if lines else type(error).__name__)[:1_000]
