"""From a bundle to a graph that may serve: open, warm up, check, or say clearly why not."""

import asyncio
import time
from collections.abc import Mapping

import numpy as np

from hotswap_stream.adapters.models.batch_sizes import batch_sizes
from hotswap_stream.adapters.models.checking import NUMPY_OF, rows_mix, sample_array, sample_inputs
from hotswap_stream.adapters.models.executor import Array, Executor, ExecutorUnavailableError
from hotswap_stream.adapters.models.loaded_model import PaddedModel
from hotswap_stream.adapters.models.memory import give_back
from hotswap_stream.adapters.models.reading import Content
from hotswap_stream.adapters.onnx.session import OnnxGraphExecutor
from hotswap_stream.application.artifacts.bundle import files_of
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.errors import HotswapError

WARM_UP_MS_MAX = 200
"""Where the sizes take longer, computing takes most of it: what a first pass adds to that is little."""


class GraphDiffersError(HotswapError):
    """The graph does not do what the manifest declares."""


class OnnxLoadedModel(PaddedModel):
    """See PaddedModel."""

    def __init__(self, manifest: ArtifactManifest, executor: Executor, sizes: tuple[int, ...]) -> None:
        super().__init__(manifest, executor, sizes)
        self.reference: Executor = executor

    def close(self) -> None:
        """Drop the session. A thread gives the memory back to the system, so that this call takes no time."""
        dropped: list[object] = [self._executor, self.reference]
        self._executor = None
        del self.reference
        give_back(dropped.clear)


class OnnxModelLoader:
    """Loads bundles of kind `onnx`. Everything that takes time runs in a thread."""

    def __init__(self, *, threads: int, batch_rows_max: int) -> None:
        self._threads, self._batch_rows_max = threads, batch_rows_max

    async def load_content(self, manifest: ArtifactManifest, content: Content) -> OnnxLoadedModel:
        """Open, warm up, check.

        Raises:
            ArtifactFormatError: It is no bundle.
            GraphNotLoadedError: ONNX Runtime does not take the graph.
            GraphDiffersError: The graph does not do what the manifest declares.
        """
        view = memoryview(content) if isinstance(content, bytes) else content.data
        return await asyncio.to_thread(
            lambda: load_graph(manifest, files_of(view), threads=self._threads, batch_rows_max=self._batch_rows_max)
        )

    async def load_content_exactly(
        self, manifest: ArtifactManifest, content: Content, executor: str
    ) -> OnnxLoadedModel:
        """Load for this executor or not at all: also ExecutorUnavailableError."""
        if executor != OnnxGraphExecutor.name:
            raise ExecutorUnavailableError(
                f"executor {executor[:50]!r} does not compute graphs; {OnnxGraphExecutor.name!r} does"
            )
        return await self.load_content(manifest, content)

    def close(self) -> None:
        """Nothing goes on in the background."""


def load_graph(
    manifest: ArtifactManifest, files: Mapping[str, memoryview], *, threads: int, batch_rows_max: int
) -> OnnxLoadedModel:
    """Return a graph that was warmed up and does what the manifest declares; see OnnxModelLoader for the errors."""
    return warmed_up(manifest, OnnxGraphExecutor(manifest, files, threads=threads), batch_rows_max)


def warmed_up(manifest: ArtifactManifest, executor: Executor, batch_rows_max: int) -> OnnxLoadedModel:
    """Return what computes a graph as a version that may serve. GraphDiffersError: not what the manifest declares."""
    _check(manifest, executor)
    sizes: tuple[int, ...] = ()
    if manifest.has_rows:
        sizes = batch_sizes(batch_rows_max)
        try:
            if rows_mix(manifest, executor, sizes[-1]):
                raise GraphDiffersError("rows of a batch change each other; the manifest's batching must be 'request'")
        except GraphDiffersError:
            raise
        except Exception as error:
            raise GraphDiffersError(f"the graph raised with more than one row: {error}") from error
        _warm_up(manifest, executor, sizes)
    return OnnxLoadedModel(manifest, executor, sizes)


def sample_request(manifest: ArtifactManifest) -> dict[str, Array]:
    """Return made-up inputs of the warm-up shapes, one row or one request."""
    generator = np.random.default_rng(0)
    first = 1 if manifest.has_rows else 0
    return {
        spec.name: sample_array(
            generator, spec.datatype, ((1,) * first) + manifest.warm_up[spec.name][first:], normal=False
        )
        for spec in manifest.inputs
    }


def _check(manifest: ArtifactManifest, executor: Executor) -> None:
    try:
        outputs = executor.run([*sample_request(manifest).values()])
    except Exception as error:
        raise GraphDiffersError(f"the graph raised on warm-up: {type(error).__name__}: {error}") from error
    for spec, array in zip(manifest.outputs, outputs, strict=True):
        if array.dtype != np.dtype(NUMPY_OF[spec.datatype]):
            found = array.dtype
            raise GraphDiffersError(f"output {spec.name!r} is {found}; {spec.datatype} is declared")
        if len(array.shape) != len(spec.shape) or (manifest.has_rows and array.shape[0] != 1):
            raise GraphDiffersError(
                f"output {spec.name!r} has shape {list(array.shape)} for one row; {list(spec.shape)} is declared"
            )
        if not manifest.allow_non_finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise GraphDiffersError(f"output {spec.name!r} holds NaN or infinity, which the manifest does not allow")


def _warm_up(manifest: ArtifactManifest, executor: Executor, sizes: tuple[int, ...]) -> None:
    """Run every size once, the largest first, because it takes the most memory; fewer if they take too long."""
    deadline = time.perf_counter() + WARM_UP_MS_MAX / 1000
    for rows in (sizes[-1], *sizes[:-1]):
        executor.run(sample_inputs(manifest, rows, seed=0))
        if time.perf_counter() >= deadline:
            return
