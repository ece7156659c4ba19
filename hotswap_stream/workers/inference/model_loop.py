"""One model's loop in one worker: a thread that takes requests and answers them, started anew when Kafka fails it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from confluent_kafka import KafkaException
from msgspec import Struct

from hotswap_events.answers import AnswerTags
from hotswap_events.topics import Topics
from hotswap_stream.application.circuit_guard import CircuitGuard
from hotswap_stream.application.reply_topics import ReplyTopics
from hotswap_stream.application.version_slots import VersionSlots
from hotswap_stream.workers.inference.batches import Batch
from hotswap_stream.workers.inference.kafka_clients import Batching, LoopLimits
from hotswap_stream.workers.inference.leave_group import leave_group
from hotswap_stream.workers.inference.loop_life import LoopLife
from hotswap_stream.workers.inference.stall import StallWatch

_log = structlog.get_logger(__name__)

RESTART_SECONDS = 0.5


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

    @property
    def group(self) -> str:
        """The consumer group of the model's workers."""
        return self.topics.workers_group(self.model_name)


class ModelLoop:
    """Answers the requests of one model in the partitions this worker is given; heals itself when Kafka fails."""

    def __init__(self, parts: LoopParts) -> None:
        self._parts = parts
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"loop-{parts.model_name}")

    def request_stop(self) -> None:
        """Make `run` answer what is being computed, commit, leave the group, and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Answer until `request_stop`. Only an error that is no failure of Kafka ends it otherwise."""
        loop = asyncio.get_running_loop()
        try:
            while not self._stopping.is_set():
                life = LoopLife(self._parts, loop, self._stopping)
                try:
                    await loop.run_in_executor(self._thread, life.run)
                except KafkaException as error:
                    _log.error("model_loop_restarted", model_name=self._parts.model_name, error=str(error))
                    self._parts.on_partitions(())
                    await asyncio.sleep(RESTART_SECONDS)
            # A static member that only goes quiet keeps its partitions until its session ends.
            await leave_group(self._parts.client_options, self._parts.group, self._parts.worker)
            self._parts.on_partitions(())
        finally:
            self._stopping.set()
            self._thread.shutdown(wait=False)
