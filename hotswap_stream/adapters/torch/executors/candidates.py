"""What may execute a version beside plain torch, and how each is built."""

from functools import partial
from typing import get_args

import structlog
from msgspec import Struct

from hotswap_events.registry.version_options import F32
from hotswap_stream.adapters.models import openvino
from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.models.executor_choice import Build
from hotswap_stream.adapters.torch.executors.config import ExecutorConfig
from hotswap_stream.adapters.torch.executors.executors import (
    ChannelsLastExecutor,
    CompiledExecutor,
    EagerExecutor,
    OnnxExecutor,
)
from hotswap_stream.adapters.torch.executors.graph_files import GraphFiles
from hotswap_stream.adapters.torch.executors.graph_maker import GraphKind
from hotswap_stream.adapters.torch.executors.graph_weights import graph_with_weights
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

GRAPH_KINDS: tuple[GraphKind, ...] = get_args(GraphKind)

log = structlog.get_logger(__name__)


class Candidates(Struct, frozen=True):
    """What may execute the versions of one loader. `graphs` is None where nothing is exported or compiled."""

    config: ExecutorConfig
    graphs: GraphFiles | None

    def of(
        self, manifest: ArtifactManifest, eager: EagerExecutor, *, wait_for_graph: bool, precision: str = F32
    ) -> dict[str, Build]:
        """Return the candidates that can be had: at once, or with `wait_for_graph` also those to be exported first."""
        builds: dict[str, Build] = {}
        graphs = self.graphs
        for kind in GRAPH_KINDS if can_be_exported(manifest) else ():
            if graphs is None:
                break
            if wait_for_graph:
                builds[kind] = partial(self._build_graph, kind, manifest, eager)
            elif kind != "compile" or self.config.compile_allowed:
                try:
                    if graphs.find(kind, manifest) is not None:
                        builds[kind] = partial(self._build_graph, kind, manifest, eager)
                except ExecutorUnavailableError as error:
                    log.debug("executor_unavailable", architecture=manifest.architecture, reason=str(error))
        if "onnxruntime" in builds and openvino.is_installed():
            builds["openvino"] = partial(self._build_openvino, manifest, eager, precision)
        # Last, because it is rarely the fastest: the time may be over before it is tried.
        if any(len(spec.shape) == 4 for spec in manifest.inputs):
            builds["channels-last"] = partial(ChannelsLastExecutor, eager.module, manifest, self.config.device)
        return builds

    def _build_graph(
        self, kind: GraphKind, manifest: ArtifactManifest, eager: EagerExecutor
    ) -> OnnxExecutor | CompiledExecutor:
        assert self.graphs is not None  # noqa: S101 - only offered where there are graphs
        path = self.graphs.make(kind, manifest)
        state = eager.module.state_dict()
        try:
            if kind == "compile":
                return CompiledExecutor(path, state)
            return OnnxExecutor(path, state, self.config.torch_threads)
        except Exception:
            # A damaged file is made anew by the next load.
            path.unlink(missing_ok=True)
            raise

    def _build_openvino(
        self, manifest: ArtifactManifest, eager: EagerExecutor, precision: str
    ) -> openvino.OpenVinoExecutor:
        assert self.graphs is not None  # noqa: S101 - only offered where there are graphs
        graph = graph_with_weights(self.graphs.make("onnxruntime", manifest), eager.module.state_dict())
        return openvino.OpenVinoExecutor(
            manifest, graph, threads=self.config.torch_threads, precision=precision, by_name=False
        )


def can_be_exported(manifest: ArtifactManifest) -> bool:
    """Return whether the number of rows is all that is free in its inputs' shapes."""
    return all(spec.shape[0] == -1 and -1 not in spec.shape[1:] for spec in manifest.inputs)
