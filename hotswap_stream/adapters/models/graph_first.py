"""Versions of architectures answer by their graphs first, while what their code needs is imported.

Importing torch takes longer than all else that a worker does from its start to its first answer. A graph that was
exported when the version was registered, held against torch there, and tried on this machine, can answer meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import structlog

from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.adapters.models.reading import Content
from hotswap_stream.adapters.models.stand_in import StandIn
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.domain.versions.options import executor_of
from hotswap_stream.errors import HotswapError

ARTIFACT_BYTES_MAX = 128 * 1024**2
"""Larger artifacts wait for torch: ONNX Runtime takes 1.8 s to lay out 300 MB anew, and holds them a second time."""
LATER_SECONDS = 3.0
"""From the first answer that could be given to the import: the worker joins its group and catches up meanwhile."""

_log = structlog.get_logger(__name__)

Load = Callable[[], Awaitable[LoadedModel]]


class GraphTrials(Protocol):
    """What is known of graphs on this machine."""

    async def knows(self, content: Content, graph_digest: str) -> bool:
        """Return whether this graph was tried with weights of the same names, kinds and shapes, and was fine."""
        ...

    async def exported(self, digest: str, content: Content, graph_digest: str) -> None:
        """Try it in a process of its own, unless it is known.

        Raises:
            HotswapError: It was not fine, or could not be tried.
        """
        ...


class GraphFirst:
    """Decides whether a graph answers first, and replaces it. Used from one event loop."""

    def __init__(
        self, trials: GraphTrials, is_slow: Callable[[], bool], *, later_seconds: float = LATER_SECONDS
    ) -> None:
        """Make one.

        Args:
            trials: What is known of graphs here.
            is_slow: Tells whether what the code of architectures needs is still to be imported.
            later_seconds: From a version that stands in to the import.
        """
        self._trials = trials
        self._is_slow = is_slow
        self._later_seconds = later_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._learned: set[str] = set()
        self._coming = 0
        """Versions that are being loaded by their code: the first of them imports it."""
        self._came = False
        """Whether some version was loaded by its code, or could not be: the next ones are soon."""

    def close(self) -> None:
        """Forget what was to be done later. What stands in goes on."""
        for task in self._tasks:
            task.cancel()

    async def load(
        self,
        manifest: ArtifactManifest,
        content: Content,
        options: VersionOptions,
        graph: str,
        *,
        by_graph: Load,
        by_code: Load,
    ) -> LoadedModel | None:
        """Return a version that its graph computes, until its code does; None where it has to wait for that.

        Args:
            manifest: Of the version.
            content: Its artifact.
            options: How it is computed.
            graph: The digest of its architecture's graph.
            by_graph: Loads it through the graph.
            by_code: Loads it by its code.
        """
        if manifest.kind != "architecture" or executor_of(options) is not None:
            return None
        # Also while the import goes on, and the first choice of an executor, which takes as long again.
        if not (self._is_slow() or (self._coming and not self._came)):
            return None
        if len(content) > ARTIFACT_BYTES_MAX or not await self._trials.knows(content, graph):
            return None
        try:
            first = StandIn(await by_graph())
        except HotswapError as error:
            _log.info("graph_not_first", architecture=manifest.architecture, reason=str(error))
            return None
        _log.info("served_by_exported_graph", architecture=manifest.architecture, reason="torch is not imported yet")
        self._later(partial(self._replace, first, by_code))
        return first

    def learn_later(self, digest: str, content: Content, options: VersionOptions, graph: str) -> None:
        """Try a graph that was not tried here, after a while and once in this process, for the next start."""
        if graph in self._learned or executor_of(options) is not None or len(content) > ARTIFACT_BYTES_MAX:
            return
        self._learned.add(graph)
        self._later(partial(self._learn, digest, content, graph))

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        async def waited() -> None:
            await asyncio.sleep(self._later_seconds)
            await work()

        task = asyncio.create_task(waited())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replace(self, first: StandIn, by_code: Load) -> None:
        if first.is_closed:
            return
        self._coming += 1
        try:
            successor = await by_code()
        except Exception as error:  # noqa: BLE001  # a module's own code may raise anything; the graph answers on
            _log.warning("graph_answers_on", what=first.manifest.what, error=f"{type(error).__name__}: {error}"[:500])
            return
        finally:
            self._coming -= 1
            self._came = True
        # In a thread: a pass that runs is waited for.
        if await asyncio.to_thread(first.succeed, successor):
            _log.info("graph_succeeded", what=first.manifest.what, executor=successor.executor)

    async def _learn(self, digest: str, content: Content, graph: str) -> None:
        try:
            await self._trials.exported(digest, content, graph)
        except HotswapError as error:
            _log.info("graph_not_tried", digest=digest, graph=graph, reason=str(error)[:500])
