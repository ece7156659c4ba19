"""Another executor for graphs that serve already: tried in a process of its own, measured aside, then offered."""

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import structlog

from hotswap_events.registry.version_options import F32
from hotswap_stream.adapters.models.checking import sample_inputs
from hotswap_stream.adapters.models.executor_choice import choose
from hotswap_stream.adapters.models.improving import Improver
from hotswap_stream.adapters.models.openvino import NAME, is_installed
from hotswap_stream.adapters.models.reading import Content
from hotswap_stream.adapters.onnx.loading import OnnxLoadedModel, warm_up
from hotswap_stream.adapters.onnx.openvino import openvino_executor
from hotswap_stream.adapters.onnx.session import OnnxGraphExecutor
from hotswap_stream.application.artifacts.bundle import files_of
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.errors import HotswapError

CHOICE_BYTES_MAX = 128 * 1024**2
"""Larger graphs stay with ONNX Runtime: each executor holds the weights once more while it is measured."""
PASS_MS_MIN = 0.5
"""Where the largest pass takes less, there is nothing to gain: reading and writing its records takes longer."""
REMEMBERED_MAX = 4_096

TriedAside = Callable[[str], Content]
"""Digest → the artifact, once another executor has run it in a process of its own; HotswapError if it cannot."""

_log = structlog.get_logger(__name__)


class FasterGraphs:
    """Looks for what computes a graph faster, in one background thread."""

    def __init__(self, tried_aside: TriedAside, threads: int, choice_ms_max: float) -> None:
        self._tried_aside, self._threads, self._choice_ms_max = tried_aside, threads, choice_ms_max
        self._improver: Improver[OnnxLoadedModel] = Improver()
        self._not_faster: OrderedDict[str, None] = OrderedDict()
        """Artifacts that stay with ONNX Runtime: known from a load before."""

    def look_for(self, model: OnnxLoadedModel, digest: str, size_bytes: int) -> None:
        """Have what computes the model faster found and offered to it, if there is any."""
        if not is_installed() or not model.manifest.has_rows or size_bytes > CHOICE_BYTES_MAX:
            return
        if digest not in self._not_faster:
            self._improver.add(model, make=lambda: None, improve=partial(self._improve, digest))

    def wait_idle(self, seconds_max: float) -> bool:
        """Return whether nothing is looked for any more, within this time."""
        return self._improver.wait_idle(seconds_max)

    def close(self) -> None:
        """Forget what waits, and wait a moment for what runs."""
        self._improver.close()

    def _improve(self, digest: str, model: OnnxLoadedModel) -> None:
        manifest = model.manifest
        if _pass_ms(model) < PASS_MS_MIN:
            self._remember(digest)
            return
        try:
            content = self._tried_aside(digest)
        except HotswapError as error:
            self._remember(digest)
            _log.info("executor_dropped", what=manifest.what, executor=NAME, reason=str(error)[:500])
            return
        offered = self._offer(manifest, content, model)
        if not offered:
            self._remember(digest)

    def _offer(self, manifest: ArtifactManifest, content: Content, model: OnnxLoadedModel) -> bool:
        """Measure, and offer what is faster; return whether anything was."""
        files = files_of(memoryview(content) if isinstance(content, bytes) else content.data)
        # Sessions of its own: the model's is in use.
        standard = OnnxGraphExecutor(manifest, files, threads=self._threads)
        reference = standard if self._threads == 1 else OnnxGraphExecutor(manifest, files, threads=1)
        sizes = model.sizes
        choice = choose(
            manifest,
            standard,
            {NAME: lambda: openvino_executor(manifest, files, threads=self._threads, precision=F32)},
            sizes,
            choice_ms_max=self._choice_ms_max,
            stopwatch=time.thread_time if self._threads == 1 else time.perf_counter,
            reference=reference,
        )
        if choice.executor is standard:
            return False
        warm_up(manifest, choice.executor, sizes)
        model.offer(choice.executor, choice.rates)
        _log.info("executor_improved", what=manifest.what, executor=choice.executor.name)
        return True

    def _remember(self, digest: str) -> None:
        self._not_faster[digest] = None
        while len(self._not_faster) > REMEMBERED_MAX:
            self._not_faster.popitem(last=False)


def _pass_ms(model: OnnxLoadedModel) -> float:
    """Return what the model's largest pass takes, in milliseconds."""
    inputs = {
        spec.name: array
        for spec, array in zip(
            model.manifest.inputs, sample_inputs(model.manifest, model.sizes[-1], seed=0), strict=True
        )
    }
    began = time.perf_counter()
    model.infer(inputs)
    return (time.perf_counter() - began) * 1_000
