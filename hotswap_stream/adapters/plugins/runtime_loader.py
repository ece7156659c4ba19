"""From an artifact of kind `runtime` to a version that serves: start its process, load, try, or say why not."""

import asyncio
import threading
from collections.abc import Sequence

import numpy as np

from hotswap_events.registry.version_options import F32, PLAIN, VersionOptions
from hotswap_stream.adapters.models.checking import NUMPY_OF, SEEDS, rows_mix, sample_inputs
from hotswap_stream.adapters.models.executor import Array, ExecutorUnavailableError
from hotswap_stream.adapters.models.loaded_model import PaddedModel
from hotswap_stream.adapters.models.reading import Content
from hotswap_stream.adapters.plugins.runtime_host import RuntimeHost
from hotswap_stream.adapters.plugins.runtime_life import RuntimeFailedError
from hotswap_stream.adapters.plugins.wire import LoadOrder
from hotswap_stream.application.artifacts.bundle import files_of
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.plugins.finding import operator_modules, package_of
from hotswap_stream.application.plugins.names import MissingPlugin, MissingPluginError, PluginKey
from hotswap_stream.application.swap.loader import Arrays
from hotswap_stream.errors import HotswapError

ROWS_TRIED = 4


class RuntimeNotLoadedError(HotswapError):
    """A runtime cannot serve this artifact; the message says why."""


class WrongOutputsError(HotswapError):
    """A runtime returned what its manifest does not declare."""


class RuntimeExecutor:
    """A runtime as an executor, whose outputs are checked each time; see Executor."""

    def __init__(self, manifest: ArtifactManifest, host: RuntimeHost, name: str) -> None:
        self.name = name
        self.host = host
        self._manifest = manifest
        self._inputs = [spec.name for spec in manifest.inputs]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """See Executor. RuntimeInputError, RuntimeFailedError, WrongOutputsError."""
        outputs = self.host.infer(dict(zip(self._inputs, inputs, strict=True)))
        wanted = [spec.name for spec in self._manifest.outputs]
        if sorted(outputs) != sorted(wanted):
            raise WrongOutputsError(f"the runtime returned {sorted(outputs)}; {sorted(wanted)} are declared")
        rows = len(inputs[0]) if self._manifest.has_rows else None
        return [_checked(spec, outputs[spec.name], rows) for spec in self._manifest.outputs]


class RuntimeModel(PaddedModel):
    """See PaddedModel. Rows are not padded: what a runtime makes of rows of zeros is nobody's business."""

    def __init__(self, manifest: ArtifactManifest, executor: RuntimeExecutor) -> None:
        super().__init__(manifest, executor)
        self._host = executor.host

    def infer_exactly(self, inputs: Arrays, *, padded_batch_size: int, first_row: int = 0) -> dict[str, Array]:
        """Compute the rows in a pass of this size, the other rows being copies of the first one.

        Raises:
            ValueError: The pass cannot hold them there.
        """
        if not self._manifest.has_rows:
            return self.infer(inputs)
        rows = len(inputs[self._manifest.inputs[0].name])
        after = padded_batch_size - first_row - rows
        if first_row < 0 or after < 0 or not rows:
            raise ValueError(f"{rows} rows from row {first_row} on do not fit into a pass of {padded_batch_size}")
        filled = {
            name: np.concatenate([np.repeat(array[:1], first_row, 0), array, np.repeat(array[:1], after, 0)])
            for name, array in inputs.items()
        }
        return {name: array[first_row : first_row + rows] for name, array in self.infer(filled).items()}

    def close(self) -> None:
        """End the process, in a thread: a runtime may take its time."""
        self._executor = None
        threading.Thread(target=self._host.close, name="unload", daemon=True).start()


class RuntimeLoader:
    """Loads bundles of kind `runtime`, each into a process of its own. Everything that takes time runs in a thread."""

    def __init__(
        self,
        *,
        load_seconds_max: float,
        pass_seconds_max: float,
        memory_bytes_max: int = 0,
        pass_cpu_seconds_max: int = 0,
    ) -> None:
        """Make a loader.

        Args:
            load_seconds_max: How long a runtime may load.
            pass_seconds_max: How long it may compute one pass.
            memory_bytes_max: Memory of its process, beside four times the artifact; 0: no limit.
            pass_cpu_seconds_max: Processor time of one pass; 0: no limit.
        """
        self._load_seconds_max, self._pass_seconds_max = load_seconds_max, pass_seconds_max
        self._memory_bytes_max, self._pass_cpu_seconds_max = memory_bytes_max, pass_cpu_seconds_max

    async def load_content(
        self,
        manifest: ArtifactManifest,
        content: Content,
        options: VersionOptions = PLAIN,  # noqa: ARG002  # a runtime computes as it does
        digest: str | None = None,  # noqa: ARG002  # nothing is done aside
    ) -> RuntimeModel:
        """Start, load, try.

        Raises:
            MissingPluginError: No runtime of this name is installed here, or it does not import.
            RuntimeNotLoadedError: The runtime does not take the artifact, or not what the manifest declares.
            ArtifactFormatError: It is no bundle.
        """
        return await asyncio.to_thread(self._load, manifest, content)

    async def load_content_exactly(
        self, manifest: ArtifactManifest, content: Content, executor: str, precision: str = F32
    ) -> RuntimeModel:
        """Load if the runtime that is installed here is the one `executor` names: also ExecutorUnavailableError."""
        installed = executor_name(manifest)
        if precision != F32:
            raise ExecutorUnavailableError(f"a runtime computes as it does, not with {precision[:20]!r}")
        if executor != installed:
            raise ExecutorUnavailableError(f"{executor[:200]!r} computed the answer; installed here is {installed!r}")
        return await self.load_content(manifest, content)

    def close(self) -> None:
        """Nothing goes on in the background but the processes of versions that serve."""

    def _load(self, manifest: ArtifactManifest, content: Content) -> RuntimeModel:
        view = memoryview(content) if isinstance(content, bytes) else content.data
        files_of(view)
        order = LoadOrder(
            manifest.runtime,
            dict(manifest.arguments),
            operator_modules(),
            memory_bytes_max=self._memory_bytes_max,
            pass_cpu_seconds_max=self._pass_cpu_seconds_max,
        )
        host = RuntimeHost(
            order, view, load_seconds_max=self._load_seconds_max, pass_seconds_max=self._pass_seconds_max
        )
        try:
            refusal = host.start()
        except RuntimeFailedError as error:
            raise RuntimeNotLoadedError(str(error)) from error
        if refusal is not None:
            if refusal.missing:
                key = PluginKey("runtime", manifest.runtime)
                missing = MissingPlugin(kind=key.kind, name=key.name, package=package_of(key))
                raise MissingPluginError(missing, refusal.reason)
            raise RuntimeNotLoadedError(f"runtime {manifest.runtime!r} does not take the artifact: {refusal.reason}")
        executor = RuntimeExecutor(manifest, host, executor_name(manifest))
        try:
            _try(manifest, executor)
        except BaseException:
            host.close()
            raise
        return RuntimeModel(manifest, executor)


def executor_name(manifest: ArtifactManifest) -> str:
    """Return how answers name what computed them: the runtime, and the version of its package that is installed."""
    package = package_of(PluginKey("runtime", manifest.runtime))
    return manifest.runtime if package is None else f"{manifest.runtime}@{package.version}"


def _try(manifest: ArtifactManifest, executor: RuntimeExecutor) -> None:
    """Run it on made-up inputs. RuntimeNotLoadedError."""
    name = manifest.runtime
    try:
        outputs = executor.run(_sample(manifest))
    except Exception as error:
        raise RuntimeNotLoadedError(
            f"runtime {name!r} failed on inputs of the warm-up shapes: {type(error).__name__}: {error}"
        ) from error
    for spec, array in zip(manifest.outputs, outputs, strict=True):
        if not manifest.allow_non_finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RuntimeNotLoadedError(
                f"output {spec.name!r} holds NaN or infinity, which the manifest does not allow"
            )
    if not manifest.has_rows:
        return
    try:
        mixed = rows_mix(manifest, executor, ROWS_TRIED)
    except Exception as error:
        raise RuntimeNotLoadedError(f"runtime {name!r} failed with {ROWS_TRIED} rows: {error}") from error
    if mixed:
        raise RuntimeNotLoadedError(
            f"runtime {name!r} answers a row differently beside other rows; the manifest's batching must be 'request'"
        )


def _sample(manifest: ArtifactManifest) -> list[Array]:
    if manifest.has_rows:
        return sample_inputs(manifest, manifest.warm_up[manifest.inputs[0].name][0], SEEDS[0])
    return [
        np.full(manifest.warm_up[spec.name], "", object)
        if spec.datatype == "BYTES"
        else np.zeros(manifest.warm_up[spec.name], NUMPY_OF[spec.datatype])
        for spec in manifest.inputs
    ]


def _checked(spec: TensorSpec, array: Array, rows: int | None) -> Array:
    wanted = np.dtype(NUMPY_OF[spec.datatype])
    if array.dtype != wanted:
        raise WrongOutputsError(f"output {spec.name!r} is {array.dtype}; {spec.datatype} ({wanted}) is declared")
    if not spec.fits(array.shape) or (rows is not None and array.shape[0] != rows):
        declared = list(spec.shape) if rows is None else [rows, *spec.shape[1:]]
        raise WrongOutputsError(f"output {spec.name!r} has shape {list(array.shape)}; {declared} is declared")
    return array
