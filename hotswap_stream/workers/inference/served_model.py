"""One model in one worker: what answers its requests, and what is told of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from msgspec import Struct

from hotswap_events.inference.fleet import FleetRecord, ObservationsLost
from hotswap_stream import __version__
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.observability.tracing import active
from hotswap_stream.workers.inference.batches.computed import ComputedBatch
from hotswap_stream.workers.inference.config import WorkerConfig
from hotswap_stream.workers.inference.health.signs import LifeSigns
from hotswap_stream.workers.inference.limits import Batching, LoopLimits
from hotswap_stream.workers.inference.loop.model_loop import ModelLoop
from hotswap_stream.workers.inference.observing.circuits import CircuitWatch
from hotswap_stream.workers.inference.observing.observer import Observer
from hotswap_stream.workers.inference.observing.swaps import SwapTimes
from hotswap_stream.workers.inference.observing.traced import trace_batch
from hotswap_stream.workers.inference.shadows.runner import ShadowRunner


class ServedModel(Struct, kw_only=True):
    """Hold the parts of one model, and be the host of its loop. `loop` is there once the model's topics are."""

    model_name: str
    registry: Registry
    slots: VersionSlots
    guard: CircuitGuard
    watch: CircuitWatch
    observer: Observer
    shadows: ShadowRunner
    batching: Batching
    signs: LifeSigns
    swaps: SwapTimes
    on_change: Callable[[], None]
    """Called in the event loop when the fleet should hear something new of the model."""
    make_windows_topic: Callable[[str], Awaitable[None]]
    is_fallen: Callable[[str], bool]
    """Whether a worker is taken for dead, or has said goodbye. For any thread."""
    times_taken_for_dead: Callable[[], int]
    """How often other workers may have taken this one for dead. For any thread."""
    loop: ModelLoop | None = None
    partitions: tuple[int, ...] = ()
    computing_since_s: float | None = None
    """Monotonic: since when a batch is being computed."""
    settling: asyncio.Task[None] | None = None
    """Finds out what becomes of a promoted version that did not load here."""

    def update(self, stream: Stream, limits: LoopLimits) -> None:
        """Follow what the registry says of the model."""
        policy = stream.state.serving.effective_policy
        self.batching = limits.batching(policy.batch_size_max, policy.batch_wait_ms_max)
        self.guard.update(stream.state)
        self.observer.update(stream.state)
        self.slots.update(stream)

    # --- the host of the loop ----------------------------------------------------------------------------------------

    async def version_decided(self) -> None:
        """Return when a version serves, or when it is clear that none does: a failed one may still be rolled back."""
        await self._read_registry()
        while self.registry.state(self.model_name).active_version is not None:
            await self.slots.wait_decided()
            settling = self.settling
            if self.slots.current is not None or self.slots.refused is not None or settling is None or settling.done():
                return
            await asyncio.wait({settling})

    async def caught_up(self) -> None:
        """Return when what it chooses as far as it goes now answers, or when that cannot be known or loaded."""
        await self._read_registry()
        await self.slots.wait_settled()

    async def _read_registry(self) -> None:
        with suppress(LogUnavailableError):  # then what is known has to do
            await self.registry.catch_up()

    def fallen(self, worker: str) -> bool:
        """Return whether another worker is taken for dead, or has said goodbye. For any thread."""
        return self.is_fallen(worker)

    @property
    def taken_for_dead(self) -> int:
        """How often other workers may have taken this one for dead. For any thread."""
        return self.times_taken_for_dead()

    async def ensure_windows_topic(self) -> None:
        """Return when the model's windows topic is there. Raise HotswapError if it cannot be made."""
        await self.make_windows_topic(self.model_name)

    def on_partitions(self, partitions: tuple[int, ...]) -> None:
        """Hear which partitions are answered; what was computed before was dropped. In the event loop."""
        self.partitions, self.computing_since_s = partitions, None
        self.on_change()

    def on_computing(self) -> None:
        """Hear that a batch is about to be computed. In the loop's thread."""
        self.computing_since_s = time.monotonic()
        self.shadows.computing()

    def on_answered(self, batch: ComputedBatch) -> None:
        """Let everybody see a batch whose answers were handed to Kafka. In the loop's thread."""
        self.computing_since_s = None
        if (tracing := active()) is not None:
            trace_batch(tracing, self.model_name, batch)
        self.watch.observe(batch)
        self.observer.observe(batch)
        self.shadows.offer(batch)

    # --- health ------------------------------------------------------------------------------------------------------

    def forgive(self) -> None:
        """Not count the time in which the process stood still: batches from before are dropped."""
        self.computing_since_s = None
        self.signs.forgive()

    def trouble(self, now_s: float, *, compute_seconds_max: float) -> str | None:
        """Return why the model's requests do not get on; None while they do.

        Args:
            now_s: Monotonic seconds.
            compute_seconds_max: A batch that is being computed for longer is stuck.
        """
        return self.stuck(now_s, compute_seconds_max=compute_seconds_max) or self.signs.trouble()

    def stuck(self, now_s: float, *, compute_seconds_max: float) -> str | None:
        """Return that a batch is being computed for too long; None if none is. Arguments as for `trouble`."""
        began_s = self.computing_since_s
        if began_s is not None and now_s - began_s > compute_seconds_max:
            return f"a batch is being computed for {now_s - began_s:.0f} s"
        return None

    def fleet_record(self, config: WorkerConfig, *, observations_lost: ObservationsLost) -> FleetRecord:
        """Return what the worker of this configuration says of the model on the fleet topic."""
        serving, signs = self.slots.current, self.signs
        return FleetRecord(
            worker=config.worker,
            model_name=self.model_name,
            registry_offset=self.registry.fold.next_offset - 1,
            versions=self.slots.states(),
            serving_version=None if serving is None else serving.model_version,
            serving_registry_offset=None if serving is None else serving.registry_offset,
            partitions=self.partitions,
            waiting=signs.waiting,
            observations_lost=observations_lost,
            trouble=signs.trouble(),
            stalled_partitions=signs.stalled(),
            unserved_partitions=signs.unserved,
            advice=signs.advice,
            plugins=config.plugins,
            kinds=config.kinds,
            release=__version__,
        )
