"""A topic of one partition, folded from its beginning and followed from there on; anew after each break."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.kafka.reading import Record
from hotswap_stream.kafka.sessions import open_reader

_log = structlog.get_logger(__name__)

POLL_MS = 200
RETRY_SECONDS = 1.0


class WholeTopic(ABC):
    """Follows the topic and gives each record to `take`. `start` returns at once.

    Args:
        client_options: How to reach the cluster.
        topic: Which is followed.
    """

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self.known = False
        """Whether the topic was read to its end, and is followed."""
        self._client_options = dict(client_options)
        self._partition = TopicPartition(topic, 0)
        self._tasks = WatchedTasks(f"following {topic}")

    @abstractmethod
    def begin(self) -> None:
        """Forget what was folded: all of it comes again."""

    @abstractmethod
    def take(self, record: Record) -> None:
        """Fold one record. It raises nothing."""

    @abstractmethod
    def caught_up(self) -> None:
        """Hear, after each beginning, that what was there then is read."""

    def start(self) -> None:
        """Begin to read, on the running event loop."""
        self._tasks.start(self._follow(), name=f"{self._partition.topic}-follower")

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Read no more."""
        await self._tasks.stop()

    async def _follow(self) -> None:
        while True:
            try:
                async with open_reader(self._client_options) as consumer:
                    try:
                        await self._read(consumer)
                    finally:
                        self.known = False
            except (KafkaError, OSError) as error:
                _log.warning("topic_not_followed", topic=self._partition.topic, error=repr(error))
            except Exception:  # noqa: BLE001 - whatever it was, from here on nothing is known until it is read anew
                _log.exception("topic_not_followed", topic=self._partition.topic)
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        await consumer.seek_to_beginning(self._partition)
        end = (await consumer.end_offsets([self._partition]))[self._partition]
        self.begin()
        while True:
            if not self.known and await consumer.position(self._partition) >= end:
                self.caught_up()
                self.known = True
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    self.take(record)
