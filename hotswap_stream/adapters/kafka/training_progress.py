"""The progress of training runs on its topic: told by runners, folded by whoever wants to know."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

import msgspec
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.adapters.kafka.whole_topic import POLL_MS, WholeTopic
from hotswap_stream.application.trainers.port import Heard
from hotswap_stream.application.trainers.progress import ProgressFold
from hotswap_stream.kafka.reading import Record, read_all
from hotswap_stream.kafka.sessions import open_producer, open_reader

FLUSH_SECONDS_MAX = 2.0
SEND_SECONDS_MAX = 5.0

_log = structlog.get_logger(__name__)
_encoder = msgspec.json.Encoder()


async def read_progress(client_options: Mapping[str, Any], topic: str) -> ProgressFold:
    """Read the topic to its end. KafkaError; LogUnavailableError."""
    fold = ProgressFold()
    async with open_reader(client_options) as consumer:
        async for _partition, records in read_all(consumer, [TopicPartition(topic, 0)], poll_ms=POLL_MS):
            for record in records:
                fold.apply(record.key, record.value)
    return fold


class ProgressFollower(WholeTopic):
    """A ProgressView. `start` returns at once; it is `known` once the topic was read to its end."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        super().__init__(client_options, topic)
        self.fold = ProgressFold()
        self._listeners: list[Heard] = []

    def listen(self, heard: Heard) -> Callable[[], None]:
        """See ProgressView."""
        self._listeners.append(heard)
        return lambda: self._listeners.remove(heard)

    def begin(self) -> None:
        """See WholeTopic."""
        self.fold = ProgressFold()

    def caught_up(self) -> None:
        """See WholeTopic. Nobody is told of what was there before."""

    def take(self, record: Record) -> None:
        """See WholeTopic."""
        progress = self.fold.apply(record.key, record.value)
        if progress is not None and self.known:
            for heard in tuple(self._listeners):
                heard(progress)


class ProgressOnKafka:
    """See ProgressTopic: tells and hears."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self._client_options = dict(client_options)
        self._topic = topic
        self._follower = ProgressFollower(client_options, topic)
        self._producer: AIOKafkaProducer | None = None
        self._stack = AsyncExitStack()

    @property
    def fold(self) -> ProgressFold:
        """See ProgressTopic."""
        return self._follower.fold

    @property
    def known(self) -> bool:
        """See ProgressTopic."""
        return self._follower.known

    async def __aenter__(self) -> Self:
        self._producer = await self._stack.enter_async_context(
            open_producer(self._client_options, flush_seconds_max=FLUSH_SECONDS_MAX)
        )
        await self._stack.enter_async_context(self._follower)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def tell(self, progress: TrainingProgressed) -> None:
        """See ProgressTopic."""
        assert self._producer is not None  # noqa: S101 - it was entered
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self._producer.send_and_wait(
                    self._topic, _encoder.encode(progress), progress.run_id.encode(), partition=0
                )
        except (KafkaError, TimeoutError) as error:
            _log.warning("training_progress_not_told", run_id=progress.run_id, error=repr(error))
