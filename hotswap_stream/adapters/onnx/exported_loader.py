"""Architectures served through their graphs, where their code is not installed."""

import asyncio
from collections.abc import Awaitable, Callable

from hotswap_stream.adapters.models.reading import Content, read_artifact
from hotswap_stream.adapters.onnx.exported import ExportedExecutor, unpack_exported
from hotswap_stream.adapters.onnx.loading import OnnxLoadedModel, checked_sizes
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore

EXTERNAL_NAME = "weights"
"""The file that a graph names for weights that it does not hold. There is none: they are handed over in memory."""


class ExportedGraphLoader:
    """Loads versions of kind `architecture` through graphs. Everything that takes time runs in a thread."""

    def __init__(
        self,
        store: ArtifactStore,
        *,
        threads: int,
        batch_rows_max: int,
        check: Callable[[str, Content, str], Awaitable[object]] | None = None,
    ) -> None:
        """Make a loader.

        Args:
            store: Where the graphs are.
            threads: Of one operation.
            batch_rows_max: Rows of one pass.
            check: Called with the artifact's digest, the artifact and the graph's digest before they are loaded; what
                it raises keeps them from that.
        """
        self._store = store
        self._threads, self._batch_rows_max = threads, batch_rows_max
        self._check = check

    async def load_exported(
        self, digest: str, manifest: ArtifactManifest, content: Content, graph_digest: str
    ) -> OnnxLoadedModel:
        """Open, warm up, check.

        Args:
            digest: Of the version's artifact.
            manifest: Of the version.
            content: The version's artifact.
            graph_digest: Of its architecture's graph.

        Raises:
            ArtifactFormatError: The graph is none, or another architecture's.
            ExecutorUnavailableError: The artifact does not hold the weights that the graph needs.
            GraphNotLoadedError: ONNX Runtime does not take the graph.
            GraphDiffersError: The graph does not do what the manifest declares.
            HotswapError: Those of `ArtifactStore.fetch`, and of the check.
        """
        _, graph = await read_artifact(self._store, graph_digest)
        if self._check is not None:
            await self._check(digest, content, graph_digest)
        return await asyncio.to_thread(
            lambda: load_exported(
                manifest,
                content if isinstance(content, bytes) else content.data,
                graph if isinstance(graph, bytes) else graph.data,
                threads=self._threads,
                batch_rows_max=self._batch_rows_max,
            )
        )


def load_exported(
    manifest: ArtifactManifest,
    content: bytes | memoryview,
    graph: bytes | memoryview,
    *,
    threads: int,
    batch_rows_max: int,
) -> OnnxLoadedModel:
    """Return a version that computes with its architecture's graph; see ExportedGraphLoader for the errors."""
    executor, sizes = open_exported(manifest, content, graph, threads=threads, batch_rows_max=batch_rows_max)
    return OnnxLoadedModel(manifest, executor, sizes)


def open_exported(
    manifest: ArtifactManifest,
    content: bytes | memoryview,
    graph: bytes | memoryview,
    *,
    threads: int,
    batch_rows_max: int,
) -> tuple[ExportedExecutor, tuple[int, ...]]:
    """Return what computes such a version, warmed up, and the rows that its passes may have."""
    executor = ExportedExecutor(manifest, unpack_exported(manifest, graph), content, threads=threads)
    return executor, checked_sizes(manifest, executor, batch_rows_max)
