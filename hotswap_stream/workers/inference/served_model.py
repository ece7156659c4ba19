"""One model in one worker: what answers its requests, and what is told of them."""

import time

from msgspec import Struct

from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.workers.inference.batches.batches import Batch
from hotswap_stream.workers.inference.limits import Batching
from hotswap_stream.workers.inference.loop.model_loop import ModelLoop
from hotswap_stream.workers.inference.loop.signs import LifeSigns
from hotswap_stream.workers.inference.observing.circuits import CircuitWatch
from hotswap_stream.workers.inference.observing.observer import Observer
from hotswap_stream.workers.inference.shadows.runner import ShadowRunner


class ServedModel(Struct):
    """Its parts. `loop` is there once the model's topics are."""

    slots: VersionSlots
    guard: CircuitGuard
    watch: CircuitWatch
    observer: Observer
    shadows: ShadowRunner
    batching: Batching
    signs: LifeSigns
    loop: ModelLoop | None = None
    partitions: tuple[int, ...] = ()
    computing_since_s: float | None = None
    """Monotonic: since when a batch is being computed."""

    def on_computing(self) -> None:
        """In the loop's thread."""
        self.computing_since_s = time.monotonic()
        self.shadows.computing()

    def on_answered(self, batch: Batch) -> None:
        """In the loop's thread."""
        self.computing_since_s = None
        self.watch.observe(batch)
        self.observer.observe(batch)
        self.shadows.offer(batch)

    def forgive(self) -> None:
        """The process stood still: batches from before are dropped, and the time does not count."""
        self.computing_since_s = None
        self.signs.forgive()

    def trouble(self, now_s: float, *, compute_seconds_max: float) -> str | None:
        """Why the model's requests do not get on; None while they do."""
        began_s = self.computing_since_s
        if began_s is not None and now_s - began_s > compute_seconds_max:
            return f"a batch is being computed for {now_s - began_s:.0f} s"
        return self.signs.trouble()
