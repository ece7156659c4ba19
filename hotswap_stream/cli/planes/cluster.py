"""The cluster itself: the log is read to its end, and commands are decided here."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from hotswap_stream.cli.planes.port import EventSource, Question

if TYPE_CHECKING:
    from hotswap_events.commands import AnyCommand, CommandResult, Refusal
    from hotswap_events.rollouts.evidence import RolloutEvidence
    from hotswap_events.training.progress import TrainingProgressed
    from hotswap_stream.application.artifacts.store import ArtifactStore
    from hotswap_stream.application.audit.explanation import ExplainedAnswer
    from hotswap_stream.application.inference.fleet import FleetFold, ModelFleet
    from hotswap_stream.application.monitoring.health import ModelHealth
    from hotswap_stream.application.observations.feedback import AnswerLookup
    from hotswap_stream.application.registry.feed import EntryFilter, EventPage
    from hotswap_stream.application.registry.registry import Registry
    from hotswap_stream.application.rollouts.shown import EvidenceFold
    from hotswap_stream.application.trainers.progress import ProgressFold
    from hotswap_stream.application.training.view import TrainingRun
    from hotswap_stream.settings import Settings

_Answer = TypeVar("_Answer")
LOOK_SECONDS = 1.0


@asynccontextmanager
async def open_cluster(settings: "Settings") -> AsyncIterator["ClusterPlane"]:
    """Open the registry of the cluster, read to the log's end."""
    from hotswap_stream import bootstrap

    async with bootstrap.open_registry(settings) as registry:
        yield ClusterPlane(
            registry,
            ClusterSources(
                fleet=lambda listens: bootstrap.fleet(settings, listens=listens),
                health=lambda: bootstrap.models_health(settings, registry.fold.streams),
                answers=lambda: bootstrap.answer_lookup(settings),
                artifacts=lambda: bootstrap.artifact_store(settings),
                progress=lambda: bootstrap.training_progress(settings),
                evidence=lambda: bootstrap.evidence(settings),
            ),
        )


@dataclass(frozen=True)
class ClusterSources:
    """What is read beside the registry log, when it is asked for."""

    fleet: "Callable[[bool], Awaitable[FleetFold]]"
    """Gets whether to listen, or to take what was heard last."""
    health: "Callable[[], Awaitable[Sequence[ModelHealth] | None]]"
    answers: "Callable[[], AbstractAsyncContextManager[AnswerLookup]]"
    artifacts: "Callable[[], ArtifactStore]"
    progress: "Callable[[], Awaitable[ProgressFold]]"
    evidence: "Callable[[], Awaitable[EvidenceFold]]"


class ClusterPlane:
    """The control plane over a started registry."""

    def __init__(self, registry: "Registry", sources: ClusterSources) -> None:
        self._registry = registry
        self._sources = sources

    async def ask(self, question: Question[_Answer], as_of: int | datetime | None = None) -> "_Answer | Refusal":
        """Return the answer of the fold, now or as it was."""
        if as_of is None:
            return question.of_streams(self._registry.fold.streams)
        from hotswap_stream.application.registry.as_of import RegistryAsOf

        replay = RegistryAsOf(self._registry.log)
        past = replay.at_time(as_of, now=datetime.now(UTC)) if isinstance(as_of, datetime) else replay.at_offset(as_of)
        return question.of_streams(await past)

    async def send(self, command: "AnyCommand") -> "CommandResult":
        """Decide and append."""
        return await self._registry.handle(command)

    async def reload(self, model_version: str | None, fields: "dict[str, Any]") -> "CommandResult":
        """Look which it is, and decide."""
        from hotswap_stream.application.registry.reload import reload_model

        return await reload_model(self._registry, model_version=model_version, **fields)

    async def fleets(self, model_name: str | None, *, listens: bool = True) -> "tuple[ModelFleet, ...] | Refusal":
        """Read the fleet topic."""
        from hotswap_events.commands import Refusal
        from hotswap_stream.application.inference.fleet import model_fleet
        from hotswap_stream.application.registry.queries import find_model

        streams = self._registry.fold.streams
        if model_name is not None and isinstance(refusal := find_model(streams, model_name), Refusal):
            return refusal
        fold, now_s = await self._sources.fleet(listens), time.monotonic()
        return tuple(
            model_fleet(name, stream.state, stream.active_offset, fold.workers(name, now_s))
            for name, stream in sorted(streams.items())
            if model_name in (None, name)
        )

    async def evidence(self, model_name: str, rollout_id: str) -> "tuple[RolloutEvidence, ...]":
        """Read the last seconds of the evidence topic."""
        return (await self._sources.evidence()).latest(model_name, rollout_id)

    async def training_progress(self, run: "TrainingRun") -> "TrainingProgressed | None":
        """Read the topic of progress."""
        found = await self._sources.progress()
        return found.of(run.run_id, run.model_name, run.runner)

    async def run_file(self, run: "TrainingRun", name: str) -> bytes:
        """Read it from the artifact store."""
        from hotswap_stream.application.trainers.run_files import fetch_file

        return await fetch_file(self._sources.artifacts(), await self.training_progress(run), name)

    async def health(self) -> "tuple[ModelHealth, ...] | None":
        """Read the last minute of the observations."""
        found = await self._sources.health()
        return None if found is None else tuple(found)

    async def explained(
        self, request_id: str, place: tuple[int, int] | None, model_name: str | None
    ) -> "ExplainedAnswer":
        """Look the answer up in its topic, and replay the log up to what chose it."""
        from hotswap_stream.application.audit.explanation import explain_answer, find_answer_at, find_answer_by_id
        from hotswap_stream.application.registry.as_of import RegistryAsOf

        models = sorted(self._registry.fold.streams)
        async with self._sources.answers() as lookup:
            if place is not None and model_name is not None:
                name, answer = model_name, await find_answer_at(lookup, model_name, *place)
            else:
                name, answer = await find_answer_by_id(lookup, request_id, models=models, model_name=model_name)
            log, stream = self._registry.log, self._registry.stream(name)
            return await explain_answer(
                name, answer, log=log, as_of=RegistryAsOf(log), now=None if stream is None else stream.state
            )

    async def event_source(self) -> EventSource:
        """Return the log with what this process has folded."""
        return _ClusterEvents(self._registry)


class _ClusterEvents:
    def __init__(self, registry: "Registry") -> None:
        from hotswap_stream.application.registry.feed import EventFeed

        self._registry = registry
        self._feed = EventFeed(registry)

    @property
    def end_offset(self) -> int:
        return self._feed.end_offset

    async def page(self, from_offset: int, *, limit: int, wanted: "EntryFilter") -> "EventPage":
        return await self._feed.page(from_offset, limit=limit, wanted=wanted)

    async def wait_for_change(self, end_offset: int, stop: asyncio.Event) -> bool:
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while self.end_offset == end_offset and not stopping.done():
                change = asyncio.ensure_future(self._registry.wait_for_change())
                try:
                    # What comes before the task above has begun to wait is seen by the next look.
                    await asyncio.wait({change, stopping}, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    if change.done():
                        change.result()
                finally:
                    change.cancel()
                    await asyncio.gather(change, return_exceptions=True)
            return not stopping.done()
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
