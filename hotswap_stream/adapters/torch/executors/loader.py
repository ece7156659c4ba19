"""From an artifact's digest to a version that serves: read, check, build, warm up, choose what executes it."""

import asyncio
import threading
import time
from collections import OrderedDict
from functools import partial
from typing import get_args

import msgspec
import structlog
import torch

from hotswap_events.registry.version_options import F32, PLAIN, VersionOptions
from hotswap_stream.adapters.models import openvino
from hotswap_stream.adapters.models.batch_sizes import batch_sizes
from hotswap_stream.adapters.models.checking import Reference, rows_mix, sample_inputs
from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.models.executor_choice import Build, Choice, Rates, checked, choose
from hotswap_stream.adapters.models.improving import Improver
from hotswap_stream.adapters.models.reading import Content, read_artifact
from hotswap_stream.adapters.torch.executors.candidates import GRAPH_KINDS, Candidates, can_be_exported
from hotswap_stream.adapters.torch.executors.config import ExecutorConfig
from hotswap_stream.adapters.torch.executors.executors import EagerExecutor, ExecutorName
from hotswap_stream.adapters.torch.executors.graph_files import GraphFiles
from hotswap_stream.adapters.torch.executors.graph_maker import GraphKind
from hotswap_stream.adapters.torch.executors.loaded_model import TorchLoadedModel
from hotswap_stream.adapters.torch.modules.loading import WarmUpError, load_module
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.domain.versions.options import EXECUTORS_OF, executor_of
from hotswap_stream.errors import ConfigurationError

CHOICES_REMEMBERED_MAX = 256
CHOICE_BYTES_MAX = 128 * 1024**2
"""Larger artifacts are eager unless a setting names another executor: ONNX Runtime takes 1.8 s to lay out 300 MB anew,
and holds them a second time."""

WARM_UP_MS_MAX = 200
"""Where the sizes take longer, computing takes most of it: what a first pass adds to that is little."""

log = structlog.get_logger(__name__)


class TorchModelLoader:
    """`ModelLoader` from an artifact store. Everything that takes time runs in a thread."""

    def __init__(
        self, store: ArtifactStore, *, torch_threads: int | None = None, config: ExecutorConfig | None = None
    ) -> None:
        config = config or ExecutorConfig()
        if torch_threads is not None:
            config = msgspec.structs.replace(config, torch_threads=torch_threads)
        if config.device != "cpu" and not torch.cuda.is_available():
            raise ConfigurationError(f"torch_device is {config.device!r}, but torch sees no CUDA device; use 'cpu'")
        self._store = store
        self._config = config
        torch.set_num_threads(config.torch_threads)
        folder = config.graph_folder if config.device == "cpu" else None
        self._graphs = None if folder is None else GraphFiles(folder, config.graph_ms_max)
        self._candidates = Candidates(config, self._graphs)
        self._improver: Improver[TorchLoadedModel] = Improver()
        self._remembered: OrderedDict[bytes, tuple[ExecutorName, dict[str, Rates]]] = OrderedDict()
        self._warm: set[tuple[bytes, str]] = set()
        self._guard = threading.Lock()

    async def load(
        self,
        digest: str,
        options: VersionOptions = PLAIN,
        *,
        graph_digest: str | None = None,  # noqa: ARG002  # the architecture's code is here
    ) -> TorchLoadedModel:
        """Fetch, verify, build, warm up, choose. The errors of `ArtifactStore.fetch` and of `load_content`."""
        return await self.load_content(*await read_artifact(self._store, digest), options)

    async def load_content(
        self,
        manifest: ArtifactManifest,
        content: Content,
        options: VersionOptions = PLAIN,
        digest: str | None = None,  # noqa: ARG002  # what executes it is chosen by the architecture
    ) -> TorchLoadedModel:
        """Build, warm up, choose unless the options say what executes it. The module uses the memory of an array.

        Raises:
            ExecutorUnavailableError: What the options name is not to be had here.
            MissingPluginError: It is not installed here.
            OutputsDifferError: It computes something else.
            HotswapError: One of those of `load_module`.
        """
        name = executor_of(options)
        if name is None:
            return await asyncio.to_thread(self._load, manifest, _as_module_takes_it(content))
        known = _known_executor(name)
        return await asyncio.to_thread(
            self._load_with, manifest, _as_module_takes_it(content), known, options.precision, checks=True
        )

    async def load_exactly(
        self,
        digest: str,
        executor: str,
        precision: str = F32,
        *,
        graph_digest: str | None = None,  # noqa: ARG002
    ) -> TorchLoadedModel:
        """Load with this executor or not at all: also ExecutorUnavailableError.

        It may make the executor's graph first.
        """
        return await self.load_content_exactly(*await read_artifact(self._store, digest), executor, precision)

    async def load_content_exactly(
        self, manifest: ArtifactManifest, content: Content, executor: str, precision: str = F32
    ) -> TorchLoadedModel:
        """See `load_exactly`."""
        name = _known_executor(executor)
        return await asyncio.to_thread(self._load_with, manifest, _as_module_takes_it(content), name, precision)

    def close(self) -> None:
        """End what still exports, compiles or waits to. Versions that serve go on."""
        if self._graphs is not None:
            self._graphs.close()
        self._improver.close()

    def wait_improved(self, seconds_max: float) -> bool:
        """Return whether all that was to be exported or compiled for loaded versions is done within this time.

        Blocking.
        """
        return self._improver.wait_idle(seconds_max)

    def _load(self, manifest: ArtifactManifest, content: bytes | torch.Tensor) -> TorchLoadedModel:
        eager, sizes = self._prepare(manifest, content)
        size_bytes = len(content)
        del content
        choice = self._choose(manifest, eager, sizes, size_bytes)
        # A remembered executor has run at one row and at the largest size, and its kernels were warm before.
        if not choice.remembered:
            self._warm_up(manifest, choice, sizes)
        name = choice.executor.name
        log.info("executor_chosen", architecture=manifest.architecture, executor=name, **_shown(choice))
        model = TorchLoadedModel(manifest, choice.executor, sizes, rates=choice.rates, device=self._config.device)
        if self._config.executor == "auto" and size_bytes <= CHOICE_BYTES_MAX:
            self._improve_later(manifest, model, sizes)
        return model

    def _load_with(
        self,
        manifest: ArtifactManifest,
        content: bytes | torch.Tensor,
        name: ExecutorName,
        precision: str = F32,
        *,
        checks: bool = False,
    ) -> TorchLoadedModel:
        """Return a version that this executor computes; with `checks`, if it computes what it should."""
        if name == openvino.NAME:
            openvino.need()
        if precision not in EXECUTORS_OF or name not in EXECUTORS_OF[precision]:
            raise ExecutorUnavailableError(f"executor {name!r} does not compute with {precision[:20]}")
        eager, sizes = self._prepare(manifest, content)
        if name == "eager":
            return TorchLoadedModel(manifest, eager, sizes, device=self._config.device)
        build = self._candidates.of(manifest, eager, wait_for_graph=True, precision=precision).get(name)
        if build is None or (checks and not sizes):
            raise ExecutorUnavailableError(f"executor {name!r} cannot run {manifest.architecture!r} here")
        executor = build()
        if checks:
            check = Reference(manifest, eager, sizes[-1])
            (check.check if precision == F32 else check.check_form)(executor, (sizes[-1], sizes[0]))
            self._warm_up(manifest, Choice(executor, {}, {}), sizes)
            log.info("executor_forced", architecture=manifest.architecture, executor=name, precision=precision)
        return TorchLoadedModel(manifest, executor, sizes, device=self._config.device)

    def _prepare(
        self, manifest: ArtifactManifest, content: bytes | torch.Tensor
    ) -> tuple[EagerExecutor, tuple[int, ...]]:
        eager = EagerExecutor(load_module(manifest, content), manifest, self._config.device)
        sizes = batch_sizes(self._config.batch_rows_max)
        if any(spec.shape[0] != -1 for spec in (*manifest.inputs, *manifest.outputs)):
            return eager, ()
        try:
            mixed = rows_mix(manifest, eager, sizes[-1])
        except Exception as error:
            raise WarmUpError(f"{manifest.architecture!r} raised with {sizes[-1]} rows: {error}") from error
        if mixed:
            log.warning("padding_off", architecture=manifest.architecture, reason="rows of a batch change each other")
            return eager, ()
        return eager, sizes

    def _choose(
        self, manifest: ArtifactManifest, eager: EagerExecutor, sizes: tuple[int, ...], size_bytes: int
    ) -> Choice:
        wanted = self._config.executor
        if wanted == "eager" or not sizes or (wanted == "auto" and size_bytes > CHOICE_BYTES_MAX):
            return Choice(eager, {}, {})
        builds = self._candidates.of(manifest, eager, wait_for_graph=wanted != "auto")
        if wanted != "auto":
            return self._only(manifest, eager, wanted, builds.get(wanted), sizes)
        key = self._key(manifest)
        with self._guard:
            remembered = self._remembered.get(key)
        if remembered is not None:
            name, rates = remembered
            build = builds.get(name)
            found = (
                eager if build is None else checked(manifest, Reference(manifest, eager, sizes[-1]), name, build, sizes)
            )
            if isinstance(found, str):
                self._forget(manifest)
                return Choice(eager, {}, {name: found})
            return Choice(found, rates, {}, remembered=True)
        return self._chosen_of(manifest, eager, builds, sizes)

    def _chosen_of(
        self,
        manifest: ArtifactManifest,
        eager: EagerExecutor,
        builds: dict[str, Build],
        sizes: tuple[int, ...],
    ) -> Choice:
        in_this_thread = self._config.torch_threads == 1 and self._config.device == "cpu"
        choice = choose(
            manifest,
            eager,
            builds,
            sizes,
            choice_ms_max=self._config.choice_ms_max,
            stopwatch=time.thread_time if in_this_thread else time.perf_counter,
        )
        self._remember(manifest, choice)
        return choice

    def _only(
        self,
        manifest: ArtifactManifest,
        eager: EagerExecutor,
        name: ExecutorName,
        build: Build | None,
        sizes: tuple[int, ...],
    ) -> Choice:
        """Return the executor that the settings name, or eager with a warning."""
        reason = "it cannot run this architecture here"
        reference = Reference(manifest, eager, sizes[-1])
        found = reason if build is None else checked(manifest, reference, name, build, sizes)
        if isinstance(found, str):
            log.warning("executor_not_used", architecture=manifest.architecture, executor=name, reason=found[:500])
            return Choice(eager, {}, {name: found})
        return Choice(found, {}, {})

    def _improve_later(self, manifest: ArtifactManifest, model: TorchLoadedModel, sizes: tuple[int, ...]) -> None:
        """Make the graphs that were not there, and offer the version its best executor when they are."""
        graphs = self._graphs
        if graphs is None or not sizes or not can_be_exported(manifest):
            return
        missing: list[GraphKind] = []
        for kind in GRAPH_KINDS:
            if kind == "compile" and not self._config.compile_allowed:
                continue
            try:
                if graphs.find(kind, manifest) is None:
                    missing.append(kind)
            except ExecutorUnavailableError as error:
                log.info("executor_unavailable", architecture=manifest.architecture, reason=str(error))
        for kind in missing:
            self._improver.add(
                model, make=partial(graphs.make, kind, manifest), improve=partial(self._improve, manifest, sizes)
            )

    def _improve(self, manifest: ArtifactManifest, sizes: tuple[int, ...], model: TorchLoadedModel) -> None:
        eager = model.eager()
        if eager is None:
            # It serves with something chosen before: the next load of this architecture looks again.
            self._forget(manifest)
            return
        builds = self._candidates.of(manifest, eager, wait_for_graph=False)
        choice = self._chosen_of(manifest, eager, builds, sizes)
        if choice.executor.name == model.executor:
            return
        self._warm_up(manifest, choice, sizes)
        model.offer(choice.executor, choice.rates)
        log.info(
            "executor_improved", architecture=manifest.architecture, executor=choice.executor.name, **_shown(choice)
        )

    def _warm_up(self, manifest: ArtifactManifest, choice: Choice, sizes: tuple[int, ...]) -> None:
        """Run every size once, the largest first, because it takes the most memory; fewer if they take too long.

        Kernels stay warm in this process, so later versions of an architecture run at one row and the largest size.
        """
        key = (self._key(manifest), choice.executor.name)
        with self._guard:
            is_warm = key in self._warm
            if len(self._warm) < CHOICES_REMEMBERED_MAX:
                self._warm.add(key)
        if is_warm and sizes:
            sizes = (sizes[0], sizes[-1])
        deadline = time.perf_counter() + WARM_UP_MS_MAX / 1000
        for rows in (sizes[-1:] + sizes[:-1]) if sizes else ():
            try:
                choice.executor.run(sample_inputs(manifest, rows, seed=0))
            except Exception as error:
                raise WarmUpError(f"{manifest.architecture!r} raised with {rows} rows: {error}") from error
            if time.perf_counter() >= deadline:
                break

    def _remember(self, manifest: ArtifactManifest, choice: Choice) -> None:
        if not choice.rates:
            return
        name = msgspec.convert(choice.executor.name, ExecutorName)
        with self._guard:
            self._remembered[self._key(manifest)] = (name, dict(choice.rates))
            while len(self._remembered) > CHOICES_REMEMBERED_MAX:
                self._remembered.popitem(last=False)

    def _forget(self, manifest: ArtifactManifest) -> None:
        with self._guard:
            self._remembered.pop(self._key(manifest), None)

    @staticmethod
    def _key(manifest: ArtifactManifest) -> bytes:
        return msgspec.json.encode(manifest, order="deterministic")


def _known_executor(name: str) -> ExecutorName:
    """Return the name, if it is an executor's. ExecutorUnavailableError."""
    if name not in get_args(ExecutorName):
        known = ", ".join(get_args(ExecutorName))
        raise ExecutorUnavailableError(f"executor {name[:50]!r} is not known; known are {known}")
    known_name: ExecutorName = msgspec.convert(name, ExecutorName)
    return known_name


def _as_module_takes_it(content: Content) -> bytes | torch.Tensor:
    return content if isinstance(content, bytes) else torch.from_numpy(content)


def _shown(choice: Choice) -> dict[str, object]:
    rates = {
        name: f"{found.one_row:.0f} rows/s one by one, {found.largest:.0f} at most"
        for name, found in choice.rates.items()
    }
    shown: dict[str, object] = {"rates": rates}
    return shown | ({"dropped": dict(choice.dropped)} if choice.dropped else {})
