"""The inference worker: follows the registry and runs one loop for each model it finds there."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import structlog

from hotswap_events.inference.fleet import LIVE_SECONDS_MAX
from hotswap_stream.application.processes.watched_tasks import WatchedTasks, first_failure
from hotswap_stream.application.registry.fold import Applied
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.registry.tail import TailEntry
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.application.swap.loader import ModelLoader
from hotswap_stream.application.swap.slot import LoadFailure
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.errors import ConfigurationError, HotswapError
from hotswap_stream.observability.metric_spec import Family
from hotswap_stream.workers.inference.config import WorkerConfig
from hotswap_stream.workers.inference.failed_loads import FailedLoads
from hotswap_stream.workers.inference.fallen_workers import FallenWorkers
from hotswap_stream.workers.inference.fleet import Fleet
from hotswap_stream.workers.inference.health.signs import LifeSigns
from hotswap_stream.workers.inference.health.stall import StallWatch
from hotswap_stream.workers.inference.loop.model_loop import ModelLoop
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.observing.circuits import CircuitWatch
from hotswap_stream.workers.inference.observing.observer import Observer
from hotswap_stream.workers.inference.observing.sender import ObservationSender
from hotswap_stream.workers.inference.observing.swaps import SwapTimes
from hotswap_stream.workers.inference.served_model import ServedModel
from hotswap_stream.workers.inference.shadows.runner import ShadowRunner
from hotswap_stream.workers.inference.worker_figures import WorkerFigures

_log = structlog.get_logger(__name__)

ADVICE_MODELS_MAX = 20
"""Models whose advice is told at a time."""
COMPUTE_SECONDS_MAX = 60.0
"""A batch that takes longer is stuck, and the worker is not well."""


class InferenceWorker:
    """Serve every model in the registry until stopped."""

    def __init__(
        self,
        config: WorkerConfig,
        registry: Registry,
        loader: ModelLoader,
        *,
        ensure_model_topics: Callable[[str], Awaitable[None]],
        ensure_windows_topic: Callable[[str], Awaitable[None]],
    ) -> None:
        self._config = config
        self._registry = registry
        self._loader = loader
        self._ensure_model_topics = ensure_model_topics
        self._ensure_windows_topic = ensure_windows_topic
        self._served: dict[str, ServedModel] = {}
        self._fleet = Fleet(config.client_options, config.topics.fleet, config.worker)
        self._fallen = FallenWorkers(config.client_options, config.topics, self._fleet, lambda: self._served.keys())
        self._failed_loads = FailedLoads(registry, self._fleet, config.worker)
        self._worker_run = uuid.uuid4().hex
        self._figures = WorkerFigures(config.worker, registry)
        self._observations = ObservationSender(
            config.client_options, config.topics, on_lost=self._report, on_observed=self._figures.observed
        )
        self._stall_watch = StallWatch()
        self._stalls_seen = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop_tasks: set[asyncio.Task[None]] = set()
        self._unlisten: Callable[[], None] | None = None
        self._failed: asyncio.Future[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Fold the registry, load what is active, and begin to answer."""
        self._failed = asyncio.get_running_loop().create_future()
        self._stall_watch.start()
        await self._registry.start()
        await self._fleet.start()
        self._fallen.start()
        await self._observations.start()
        self._unlisten = self._registry.listen(self._on_record)
        for model_name in list(self._registry.fold.streams):
            self._on_model(model_name)
        _log.info("worker_started", worker=self._config.worker, models=sorted(self._served))

    async def run(
        self,
        on_well: Callable[[], None] = lambda: None,
        *,
        on_trouble: Callable[[str], None] = lambda _reason: None,
        on_advice: Callable[[str | None], None] = lambda _advice: None,
    ) -> None:
        """Return when a part that cannot heal itself has failed, with its error.

        `on_well` is called about once a second while the worker can do its work: this loop runs, the registry and the
        fleet are followed, Kafka takes what the worker says of itself, no batch is stuck, and no partition stands still
        while requests wait in it. Else `on_trouble` is, with the reason. `on_advice` hears before either what else
        somebody should mend.
        """
        if self._failed is None:
            raise RuntimeError("start the worker first")
        while not self._failed.done():
            await asyncio.wait({self._failed}, timeout=1.0)
            if not self._registry.healthy:
                raise HotswapError("the registry log can no longer be followed")
            failure = first_failure(self._watched_tasks())
            if failure is not None:
                raise failure
            trouble = self.trouble()
            for model_name in self._served:
                self._report(model_name)  # which says nothing where nothing has changed
            on_advice(self._advice())
            if trouble is None:
                on_well()
            else:
                on_trouble(trouble)
        self._failed.result()

    def _watched_tasks(self) -> Iterator[WatchedTasks]:
        """Yield the tasks of the parts; what is spawned here itself ends the worker as it ends."""
        yield from (self._fleet.tasks, self._fallen.tasks, self._observations.tasks, self._stall_watch.tasks)
        for served in self._served.values():
            yield served.slots.tasks

    def trouble(self) -> str | None:
        """Return why the worker cannot do its work; None while it can."""
        stalls, now_s = self._stall_watch.stalls, time.monotonic()
        if stalls != self._stalls_seen:
            self._stalls_seen = stalls
            for served in self._served.values():
                served.forgive()
        if self._fleet.silent_s > LIVE_SECONDS_MAX:
            return f"Kafka has taken nothing of what the worker says of itself for {self._fleet.silent_s:.0f} s"
        if not self._fleet.following:
            return "what the other workers say of themselves is not read"
        for model_name, served in self._served.items():
            reason = served.trouble(now_s, compute_seconds_max=COMPUTE_SECONDS_MAX)
            if reason is not None:
                return f"model {model_name!r}: {reason}"
        return None

    def stuck(self) -> str | None:
        """Return why the worker cannot make progress by itself, so that starting it again would help; None if it can.

        That this can be asked at all says that the event loop turns.
        """
        if self._failed is not None and self._failed.done():
            return "a part of it has failed"
        now_s = time.monotonic()
        for model_name, served in self._served.items():
            if (reason := served.stuck(now_s, compute_seconds_max=COMPUTE_SECONDS_MAX)) is not None:
                return f"model {model_name!r}: {reason}"
        return None

    def unready(self) -> str | None:
        """Return why the worker makes no progress now; None while offsets move or nothing waits."""
        if self._unlisten is None:
            return "it is starting"
        if self._stopping:
            return "it is stopping"
        if not self._registry.healthy:
            return "the registry log can no longer be followed"
        return self.trouble()

    def families(self) -> Iterator[Family]:
        """Return this worker's part of the catalogue of metrics."""
        return self._figures.families(self._served.values(), ready=self.unready() is None)

    def _advice(self) -> str | None:
        found = [served.signs.advice for served in self._served.values() if served.signs.advice is not None]
        return "; ".join(found[:ADVICE_MODELS_MAX]) or None

    async def stop(self) -> None:
        """Answer what was fetched, commit, leave the groups, give memory back."""
        self._stopping = True
        for served in self._served.values():
            if served.loop is not None:
                served.loop.request_stop()
        # Requests are answered until others have the partitions, so versions are followed until then.
        await asyncio.gather(*self._loop_tasks, return_exceptions=True)
        if self._unlisten is not None:
            self._unlisten()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for served in self._served.values():
            await asyncio.to_thread(served.shadows.stop)
            await served.slots.stop()
        self._loader.close()
        # At the same time: each has its limit for brokers that are away, and the end has one, too.
        await asyncio.gather(self._observations.stop(), self._fallen.stop(), self._fleet.stop())
        await self._registry.stop()
        await self._stall_watch.stop()

    def _on_record(self, entry: TailEntry) -> None:
        """Take in each record as it is folded: a promotion of a loaded version takes effect right here."""
        if isinstance(entry.outcome, Applied):
            served = self._served.get(entry.outcome.event.subject)
            if served is not None:
                event = entry.outcome.event
                served.swaps.decided(entry.record.offset, entry.record.timestamp_ms / 1_000, event.traceparent)
            self._on_model(entry.outcome.event.subject)

    def _on_model(self, model_name: str) -> None:
        if self._config.model_names is not None and model_name not in self._config.model_names:
            return
        stream = self._registry.stream(model_name)
        if stream is None or not stream.state.versions:
            return
        served = self._served.get(model_name)
        if served is None:
            if self._stopping:
                return
            served = self._served[model_name] = self._serve(model_name)
            served.slots.start()
            self._spawn(self._answer(model_name, served), self._loop_tasks)
        served.update(stream, self._config.limits)

    def _serve(self, model_name: str) -> ServedModel:
        slots = VersionSlots(
            self._loader,
            on_change=lambda: self._report(model_name),
            on_active_failed=lambda failure: self._settle(model_name, failure),
            memory_bytes_max=self._config.memory_bytes_max,
        )
        guard = CircuitGuard(model_name, self._config.worker)
        watch = CircuitWatch(
            guard, self._registry, asyncio.get_running_loop(), lambda work: self._spawn(work, self._tasks)
        )
        self._spawn(watch.watch(), self._tasks)
        observer = Observer(model_name, self._config.worker, self._worker_run)
        self._observations.add(observer)
        shadows = ShadowRunner(model_name, self._config.worker, slots, observer, self._config.limits.batch_size_max)
        return ServedModel(
            model_name=model_name,
            registry=self._registry,
            slots=slots,
            guard=guard,
            watch=watch,
            observer=observer,
            shadows=shadows,
            batching=self._config.limits.batching(),
            signs=LifeSigns(),
            swaps=SwapTimes(model_name),
            on_change=lambda: self._report(model_name),
            make_windows_topic=self._ensure_windows_topic,
            is_fallen=partial(self._fallen.has, model_name),
            times_taken_for_dead=lambda: self._fleet.taken_for_dead,
        )

    async def _answer(self, model_name: str, served: ServedModel) -> None:
        try:
            await self._ensure_model_topics(model_name)
        except ConfigurationError as error:
            # Somebody has changed them: what fits is served, and other models are not to suffer.
            _log.error("model_topics_unfit", model_name=model_name, error=str(error))
            served.signs.advice = str(error)
        if self._stopping:
            return
        served.loop = ModelLoop(
            LoopParts(
                model_name=model_name,
                config=self._config,
                slots=served.slots,
                guard=served.guard,
                signs=served.signs,
                stall_watch=self._stall_watch,
                host=served,
            )
        )
        await served.loop.run()

    def _report(self, model_name: str) -> None:
        served = self._served.get(model_name)
        if served is None:
            return
        served.swaps.look(served.slots.current)
        lost = self._observations.lost(served.observer)
        self._fleet.report(served.fleet_record(self._config, observations_lost=lost))

    def _settle(self, model_name: str, failure: LoadFailure) -> None:
        served = self._served[model_name]
        served.settling = self._task(self._failed_loads.settle(model_name, failure), self._tasks)

    def _spawn(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        self._task(work, tasks)  # type: ignore[unused-awaitable]  # `tasks` holds it

    def _task(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        """End the worker when a task ended with an error: its supervisor starts it again."""
        self._tasks.discard(task)
        self._loop_tasks.discard(task)
        if task.cancelled() or self._failed is None or self._failed.done():
            return
        error = task.exception()
        if error is not None:
            self._failed.set_exception(error)
