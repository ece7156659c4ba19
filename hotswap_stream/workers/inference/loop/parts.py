"""What one model's loop is made of."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec import Struct

from hotswap_events.answers import AnswerTags
from hotswap_events.topics import Topics
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.application.topics.reply_topics import ReplyTopics
from hotswap_stream.workers.inference.batches.batches import Batch
from hotswap_stream.workers.inference.limits import Batching, LoopLimits
from hotswap_stream.workers.inference.loop.signs import LifeSigns
from hotswap_stream.workers.inference.loop.stall import StallWatch


class LoopParts(Struct, frozen=True, kw_only=True):
    """What a loop is made of."""

    model_name: str
    worker: str
    topics: Topics
    answer_tags: AnswerTags
    reply_topics: ReplyTopics
    client_options: Mapping[str, Any]
    """For aiokafka."""
    librdkafka_options: Mapping[str, Any]
    limits: LoopLimits
    batching: Callable[[], Batching]
    slots: VersionSlots
    guard: CircuitGuard
    stall_watch: StallWatch
    version_decided: Callable[[], Coroutine[Any, Any, None]]
    """Returns when a version serves, or when it is clear that none does."""
    ensure_windows_topic: Callable[[], Coroutine[Any, Any, None]]
    """Returns when the model's windows topic is there. HotswapError."""
    on_partitions: Callable[[tuple[int, ...]], None]
    """Called in the event loop."""
    on_computing: Callable[[], None]
    """Called in the loop's thread before the forward passes of each batch."""
    on_answered: Callable[[Batch], None]
    """Called in the loop's thread for each batch whose answers were handed to Kafka."""
    signs: LifeSigns
    """Where the loop tells how it gets on."""

    @property
    def group(self) -> str:
        """The consumer group of the model's workers."""
        return self.topics.workers_group(self.model_name)
