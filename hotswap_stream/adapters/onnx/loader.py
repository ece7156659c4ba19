"""The loader of bundles of kind `onnx`: what computes a graph is said by the version, by a setting, or measured."""

import asyncio
from functools import partial
from typing import Literal

import structlog

from hotswap_events.registry.version_options import F32, PLAIN, VersionOptions
from hotswap_stream.adapters.models.checking import OutputsDifferError
from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.models.openvino import NAME, is_installed, need
from hotswap_stream.adapters.models.reading import Content
from hotswap_stream.adapters.onnx.faster import FasterGraphs, TriedAside
from hotswap_stream.adapters.onnx.loading import OnnxLoadedModel, load_graph, load_in_openvino
from hotswap_stream.adapters.onnx.session import OnnxGraphExecutor
from hotswap_stream.application.artifacts.bundle import files_of
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.trial import TrialFailedError
from hotswap_stream.domain.versions.options import EXECUTORS_OF, EXECUTORS_OF_KIND, executor_of

GraphExecutorSetting = Literal["auto", "onnxruntime", "openvino"]

_log = structlog.get_logger(__name__)


class OnnxModelLoader:
    """Loads bundles of kind `onnx`. Everything that takes time runs in a thread.

    ONNX Runtime computes them, unless a version's options or `executor` name another. With `executor` `auto` a version
    serves by ONNX Runtime at once, and takes what is faster between two batches, when that is known.
    """

    def __init__(
        self,
        *,
        threads: int,
        batch_rows_max: int,
        executor: GraphExecutorSetting = "onnxruntime",
        choice_ms_max: float = 1_000.0,
        tried_aside: TriedAside | None = None,
    ) -> None:
        """Make a loader.

        Args:
            threads: Of one operation.
            batch_rows_max: Rows of one pass at most.
            executor: What computes versions that name none.
            choice_ms_max: Time to build, check and measure another executor for a version that serves.
            tried_aside: Opens and runs an artifact with another executor in a process of its own, and returns its
                bytes; blocking. None: versions that name no executor stay with ONNX Runtime.
        """
        self._threads, self._batch_rows_max = threads, batch_rows_max
        self._executor = executor
        self._tried_aside = tried_aside
        self._faster = None if tried_aside is None else FasterGraphs(tried_aside, threads, choice_ms_max)

    async def load_content(
        self,
        manifest: ArtifactManifest,
        content: Content,
        options: VersionOptions = PLAIN,
        digest: str | None = None,
    ) -> OnnxLoadedModel:
        """Open, warm up, check; see ContentLoader.

        Raises:
            ArtifactFormatError: It is no bundle.
            GraphNotLoadedError: ONNX Runtime does not take the graph.
            GraphDiffersError: The graph does not do what the manifest declares.
            ExecutorUnavailableError: The executor that the options name does not take the graph.
            MissingPluginError: It is not installed here.
            OutputsDifferError: It computes something else.
        """
        name = executor_of(options)
        if name is None and self._executor == NAME and is_installed():
            try:
                if digest is not None and self._tried_aside is not None:
                    await asyncio.to_thread(self._tried_aside, digest)
                return await self._load(manifest, content, NAME, F32)
            except (ExecutorUnavailableError, OutputsDifferError, TrialFailedError) as error:
                _log.warning("executor_not_used", what=manifest.what, executor=NAME, reason=str(error)[:500])
        model = await self._load(manifest, content, name or OnnxGraphExecutor.name, options.precision)
        if name is None and self._executor == "auto" and digest is not None and self._faster is not None:
            self._faster.look_for(model, digest, len(content))
        return model

    async def load_content_exactly(
        self, manifest: ArtifactManifest, content: Content, executor: str, precision: str = F32
    ) -> OnnxLoadedModel:
        """Load for this executor or not at all: also ExecutorUnavailableError."""
        able = EXECUTORS_OF_KIND["onnx"]
        if executor not in able:
            raise ExecutorUnavailableError(
                f"executor {executor[:50]!r} does not compute graphs; {' and '.join(able)} do"
            )
        if executor not in EXECUTORS_OF.get(precision, ()):
            raise ExecutorUnavailableError(f"executor {executor!r} does not compute with {precision[:20]!r}")
        return await self._load(manifest, content, executor, precision)

    def wait_improved(self, seconds_max: float) -> bool:
        """Return whether for all loaded versions it is known what is fastest, within this time. Blocking."""
        return self._faster is None or self._faster.wait_idle(seconds_max)

    def close(self) -> None:
        """End what still looks for better executors. Versions that serve go on."""
        if self._faster is not None:
            self._faster.close()

    async def _load(
        self, manifest: ArtifactManifest, content: Content, executor: str, precision: str
    ) -> OnnxLoadedModel:
        view = memoryview(content) if isinstance(content, bytes) else content.data
        load = load_graph
        if executor == NAME:
            need()
            load = partial(load_in_openvino, precision=precision)
        return await asyncio.to_thread(
            lambda: load(manifest, files_of(view), threads=self._threads, batch_rows_max=self._batch_rows_max)
        )
