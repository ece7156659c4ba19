"""The newest records of a topic of many partitions, followed from some time ago on."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.kafka.reading import Record, read_to
from hotswap_stream.kafka.sessions import open_reader
from hotswap_stream.observability.floods import is_logged

_log = structlog.get_logger(__name__)

POLL_MS = 250
RETRY_SECONDS = 1.0
RECORDS_AT_ONCE_MAX = 500
"""Records folded before others on the event loop have their turn: some milliseconds."""


class RecentFollower(ABC):
    """Follows such a topic, and counts what is of no use. `start` returns at once.

    Args:
        client_options: How to reach the cluster.
        topic: Which is followed.
        unusable: What the log calls a record that is of no use.
        seconds_back: How old the first record may be.
        records_back_max: How many records before the end are read at most, in each partition.
    """

    def __init__(
        self,
        client_options: Mapping[str, Any],
        topic: str,
        *,
        unusable: str,
        seconds_back: float,
        records_back_max: int | None = None,
    ) -> None:
        self.known = False
        """Whether what was there at the start is read, and what comes is followed."""
        self.passed_over = 0
        """Records that were of no use."""
        self._client_options = dict(client_options)
        self._topic = topic
        self._unusable = unusable
        self._seconds_back = seconds_back
        self._records_back_max = records_back_max
        self._tasks = WatchedTasks(f"following {topic}")

    def start(self) -> None:
        """Begin to read, on the running event loop."""
        self._tasks.start(self._follow(), name=f"{self._topic}-follower")

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Read no more."""
        await self._tasks.stop()

    def fold(self, record: Record) -> None:
        """Take in one record, whatever its bytes are; one that is of no use is counted."""
        if self._take(record):
            return
        self.passed_over += 1
        if is_logged(self.passed_over):
            _log.warning(self._unusable, count=self.passed_over, offset=record.offset)

    @abstractmethod
    def _take(self, record: Record) -> bool:
        """Take in one record and return whether it was of use. Raise nothing."""

    async def _follow(self) -> None:
        places: dict[TopicPartition, int] = {}
        while True:
            try:
                async with open_reader(self._client_options, self._topic) as consumer:
                    try:
                        await self._read(consumer, places)
                    finally:
                        self.known = False
            except (KafkaError, OSError) as error:
                _log.warning("topic_not_followed", topic=self._topic, error=repr(error))
            except Exception:  # noqa: BLE001 - figures that stand still must not end the process that shows them
                _log.exception("topic_not_followed", topic=self._topic)
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, consumer: AIOKafkaConsumer, places: dict[TopicPartition, int]) -> None:
        """Read on from `places`, for ever; from some time ago in partitions that have none."""
        ends = await _begin_recently(
            consumer,
            self._topic,
            places,
            seconds_back=self._seconds_back,
            records_back_max=self._records_back_max,
        )
        while True:
            if not self.known and all(places[part] >= end for part, end in ends.items()):
                self.known = True
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE_MAX)
            for part, records in fetched.items():
                for record in records:
                    self.fold(record)
                places[part] = records[-1].offset + 1
            if not self.known:
                places |= {part: await consumer.position(part) for part in ends}


async def read_recently(
    client_options: Mapping[str, Any], topic: str, *, seconds_back: float, records_back_max: int | None = None
) -> AsyncGenerator[Record, None]:
    """Give what is there now of such a topic, from some time ago to its end.

    Args:
        client_options: How to reach the cluster.
        topic: Which is read.
        seconds_back: How old the first record may be.
        records_back_max: How many records before the end are read at most, in each partition.

    Raises:
        KafkaError: The cluster cannot be read.
        LogUnavailableError: Nothing moved before the end.
    """
    async with open_reader(client_options, topic) as consumer:
        places: dict[TopicPartition, int] = {}
        found = await _begin_recently(
            consumer, topic, places, seconds_back=seconds_back, records_back_max=records_back_max
        )
        ends = {part: end for part, end in found.items() if places[part] < end}
        if ends:
            async for _part, records in read_to(consumer, ends, poll_ms=POLL_MS):
                for record in records:
                    yield record


async def _begin_recently(
    consumer: AIOKafkaConsumer,
    topic: str,
    places: dict[TopicPartition, int],
    *,
    seconds_back: float,
    records_back_max: int | None = None,
) -> dict[TopicPartition, int]:
    """Assign all partitions at their places, which are filled in where they lack, and return where they end.

    Args:
        consumer: Subscribed to the topic.
        topic: Which is read.
        places: Where to go on, by partition.
        seconds_back: How old the first record of a partition without a place may be.
        records_back_max: How many records before its end it may be.

    Raises:
        KafkaError: The cluster cannot be read.
    """
    parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.unsubscribe()
    consumer.assign(parts)
    ends: dict[TopicPartition, int] = await consumer.end_offsets(parts)
    since_ms = round((time.time() - seconds_back) * 1_000)
    begins = await consumer.offsets_for_times(dict.fromkeys(parts, since_ms))
    for part in parts:
        begin = begins.get(part)
        begun = ends[part] if begin is None else begin.offset
        if records_back_max is not None:
            begun = max(begun, ends[part] - records_back_max)
        # What is older than the log that is there now was deleted; a topic made anew begins before its old end.
        places[part] = max(begun, places[part]) if places.get(part, ends[part] + 1) <= ends[part] else begun
        consumer.seek(part, places[part])
    return ends
