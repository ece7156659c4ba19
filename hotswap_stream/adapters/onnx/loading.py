"""From a bundle's files to a graph that may serve: open, warm up, check, or say clearly why not."""

import time
from collections.abc import Mapping

import numpy as np

from hotswap_events.registry.version_options import F32
from hotswap_stream.adapters.models.batch_sizes import batch_sizes
from hotswap_stream.adapters.models.checking import NUMPY_OF, rows_mix, sample_inputs
from hotswap_stream.adapters.models.executor import Executor
from hotswap_stream.adapters.models.improvable import ImprovableModel
from hotswap_stream.adapters.models.memory import give_back
from hotswap_stream.adapters.onnx.openvino import check_against, openvino_executor
from hotswap_stream.adapters.onnx.samples import sample_request
from hotswap_stream.adapters.onnx.session import OnnxGraphExecutor
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.errors import HotswapError

WARM_UP_MS_MAX = 200
"""Where the sizes take longer, computing takes most of it: what a first pass adds to that is little."""


class GraphDiffersError(HotswapError):
    """The graph does not do what the manifest declares."""


class OnnxLoadedModel(ImprovableModel):
    """See ImprovableModel."""

    def close(self) -> None:
        """Drop the session. A thread gives the memory back to the system, so that this call takes no time."""
        give_back(self._give_up().clear)


def load_graph(
    manifest: ArtifactManifest, files: Mapping[str, memoryview], *, threads: int, batch_rows_max: int
) -> OnnxLoadedModel:
    """Return a graph that ONNX Runtime computes; the errors of `open_graph`."""
    return OnnxLoadedModel(manifest, *open_graph(manifest, files=files, threads=threads, batch_rows_max=batch_rows_max))


def open_graph(
    manifest: ArtifactManifest, *, files: Mapping[str, memoryview], threads: int, batch_rows_max: int
) -> tuple[OnnxGraphExecutor, tuple[int, ...]]:
    """Return a graph that was warmed up and does what the manifest declares, and the rows that its passes may have.

    Raises:
        GraphNotLoadedError: ONNX Runtime does not take it.
        GraphDiffersError: It does something else.
    """
    executor = OnnxGraphExecutor(manifest, files, threads=threads)
    return executor, checked_sizes(manifest, executor, batch_rows_max)


def checked_sizes(manifest: ArtifactManifest, executor: Executor, batch_rows_max: int) -> tuple[int, ...]:
    """Warm up what computes a graph, and return the rows that its passes may have.

    Raises:
        GraphDiffersError: It does something else than the manifest declares.
    """
    _check(manifest, executor)
    if not manifest.has_rows:
        return ()
    sizes = batch_sizes(batch_rows_max)
    try:
        if rows_mix(manifest, executor, sizes[-1]):
            raise GraphDiffersError("rows of a batch change each other; the manifest's batching must be 'request'")
    except GraphDiffersError:
        raise
    except Exception as error:
        raise GraphDiffersError(f"the graph raised with more than one row: {error}") from error
    warm_up(manifest, executor, sizes)
    return sizes


def load_in_openvino(
    manifest: ArtifactManifest,
    files: Mapping[str, memoryview],
    *,
    threads: int,
    batch_rows_max: int,
    precision: str = F32,
) -> OnnxLoadedModel:
    """Return a graph that OpenVINO computes, held against ONNX Runtime in one thread.

    Raises:
        ExecutorUnavailableError: OpenVINO does not take it.
        OutputsDifferError: OpenVINO computes something else.
        HotswapError: One of those of `open_graph`.
    """
    reference, sizes = open_graph(manifest, files=files, threads=1, batch_rows_max=batch_rows_max)
    candidate = openvino_executor(manifest, files, threads=threads, precision=precision)
    check_against(reference, candidate, manifest, sizes, precision)
    warm_up(manifest, candidate, sizes)
    return OnnxLoadedModel(manifest, candidate, sizes)


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


def warm_up(manifest: ArtifactManifest, executor: Executor, sizes: tuple[int, ...]) -> None:
    """Run every size once, the largest first, because it takes the most memory; fewer if they take too long."""
    deadline = time.perf_counter() + WARM_UP_MS_MAX / 1000
    for rows in (*sizes[-1:], *sizes[:-1]):
        executor.run(sample_inputs(manifest, rows, seed=0))
        if time.perf_counter() >= deadline:
            return
