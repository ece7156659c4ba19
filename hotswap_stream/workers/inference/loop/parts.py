"""What one model's loop is made of, and what it tells and asks the worker around it."""

from typing import Protocol

from msgspec import Struct

from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.workers.inference.batches.computed import ComputedBatch
from hotswap_stream.workers.inference.config import WorkerConfig
from hotswap_stream.workers.inference.health.signs import LifeSigns
from hotswap_stream.workers.inference.health.stall import StallWatch
from hotswap_stream.workers.inference.limits import Batching, LoopLimits


class LoopHost(Protocol):
    """What a loop tells, and asks, the worker around it."""

    @property
    def batching(self) -> Batching:
        """How requests are gathered, as the model's policy wants it now."""
        ...

    async def version_decided(self) -> None:
        """Return when a version serves, or when it is clear that none does."""
        ...

    async def caught_up(self) -> None:
        """Return when what the registry chooses as far as it goes now answers, or when that cannot be."""
        ...

    def fallen(self, worker: str) -> bool:
        """Return whether another worker is taken for dead. For any thread."""
        ...

    @property
    def taken_for_dead(self) -> int:
        """How often other workers may have taken this one for dead. For any thread."""
        ...

    async def ensure_windows_topic(self) -> None:
        """Return when the model's windows topic is there. Raise HotswapError if it cannot be made."""
        ...

    def on_partitions(self, partitions: tuple[int, ...]) -> None:
        """Hear which partitions the loop answers now. Called in the event loop."""
        ...

    def on_computing(self) -> None:
        """Hear that a batch is about to be computed. Called in the loop's thread."""
        ...

    def on_answered(self, batch: ComputedBatch) -> None:
        """Hear that the answers of a batch were handed to Kafka. Called in the loop's thread."""
        ...


class LoopParts(Struct, frozen=True, kw_only=True):
    """What a loop is made of."""

    model_name: str
    config: WorkerConfig
    slots: VersionSlots
    guard: CircuitGuard
    signs: LifeSigns
    """Where the loop tells how it gets on."""
    stall_watch: StallWatch
    host: LoopHost

    @property
    def limits(self) -> LoopLimits:
        """The worker's limits."""
        return self.config.limits

    @property
    def group(self) -> str:
        """The consumer group of the model's workers."""
        return self.config.topics.workers_group(self.model_name)

    @property
    def request_topic(self) -> str:
        """The topic of the model's requests."""
        return self.config.topics.requests(self.model_name)

    @property
    def response_topic(self) -> str:
        """The topic of the model's answers."""
        return self.config.topics.responses(self.model_name)

    @property
    def windows_topic(self) -> str:
        """The topic in which the model's windows are kept."""
        return self.config.topics.windows(self.model_name)
