"""The observations of the whole fleet, followed from a minute ago on."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hotswap_stream.application.monitoring.answered import Answered
from hotswap_stream.application.monitoring.figures import AnswerFigures, read_figures
from hotswap_stream.application.monitoring.traffic import WINDOW_SECONDS, RecentSums, Traffic
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.kafka.reading import Record, read_to
from hotswap_stream.kafka.sessions import open_reader

_log = structlog.get_logger(__name__)

POLL_MS = 250
RETRY_SECONDS = 1.0
RECORDS_AT_ONCE_MAX = 500
"""Records folded before others on the event loop have their turn: some milliseconds."""


class ObservationFollower:
    """A TrafficView. `start` returns at once; it is `known` once what was there is read."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self.known = False
        self.passed_over = 0
        """Records that are no observation, or speak of another key's model; the agents make dead letters of them."""
        self._client_options = dict(client_options)
        self._topic = topic
        self._traffic = Traffic()
        self._newest_s = 0.0
        """Time of the newest record, by the broker's clock."""
        self._heard_s = time.monotonic()
        self._tasks = WatchedTasks("following the observations")

    def start(self) -> None:
        """Begin to read, on the running event loop."""
        self._tasks.start(self._follow(), name="observation-follower")

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Read no more."""
        await self._tasks.stop()

    @property
    def answered(self) -> Answered:
        """See TrafficView."""
        return self._traffic.answered

    def recent(self, model_name: str) -> dict[str, RecentSums]:
        """See TrafficView."""
        return self._traffic.recent(model_name, self._newest_s + time.monotonic() - self._heard_s)

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
                _log.warning("observations_not_followed", error=repr(error))
            except Exception:  # noqa: BLE001 - figures that stand still must not end the process that shows them
                _log.exception("observations_not_followed")
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, consumer: AIOKafkaConsumer, places: dict[TopicPartition, int]) -> None:
        """Read on from `places`, for ever; from a minute ago in partitions that have none."""
        ends = await _begin(consumer, self._topic, places)
        while True:
            if not self.known and all(places[part] >= end for part, end in ends.items()):
                self.known = True
            fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE_MAX)
            for part, records in fetched.items():
                for record in records:
                    self._fold(record)
                places[part] = records[-1].offset + 1
            if not self.known:
                places |= {part: await consumer.position(part) for part in ends}

    def _fold(self, record: Record) -> None:
        found = _figures(record)
        if found is None:
            self.passed_over += 1
            if self.passed_over & (self.passed_over - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                _log.warning("observation_passed_over", count=self.passed_over, offset=record.offset)
            return
        at_s = record.timestamp / 1_000
        if at_s >= self._newest_s:
            self._newest_s, self._heard_s = at_s, time.monotonic()
        self._traffic.add(found, at_s)


async def read_traffic(client_options: Mapping[str, Any], topic: str) -> tuple[Traffic, float]:
    """Read the last minute of the observations.

    Args:
        client_options: For aiokafka.
        topic: That of the observations.

    Returns:
        What was read, and the time until which it was, to be asked about with `recent`.

    Raises:
        KafkaError: The cluster cannot be read.
        LogUnavailableError: Nothing moved before the end.
    """
    traffic, now_s = Traffic(), time.time()
    async with open_reader(client_options, topic) as consumer:
        places: dict[TopicPartition, int] = {}
        ends = {part: end for part, end in (await _begin(consumer, topic, places)).items() if places[part] < end}
        if ends:
            async for _part, records in read_to(consumer, ends, poll_ms=POLL_MS):
                for record in records:
                    found = _figures(record)
                    if found is not None:
                        now_s = max(now_s, record.timestamp / 1_000)
                        traffic.add(found, record.timestamp / 1_000)
    return traffic, now_s


def _figures(record: Record) -> AnswerFigures | None:
    """Return what a record says; None for any bytes that are no observation, or that speak of another key's model."""
    found = read_figures(record.value)
    return found if found is not None and record.key == found.model_name.encode() else None


async def _begin(
    consumer: AIOKafkaConsumer, topic: str, places: dict[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Assign all partitions at their places, which are filled in where they lack, and return where they end."""
    parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.unsubscribe()
    consumer.assign(parts)
    ends: dict[TopicPartition, int] = await consumer.end_offsets(parts)
    since_ms = round((time.time() - WINDOW_SECONDS) * 1_000)
    begins = await consumer.offsets_for_times(dict.fromkeys(parts, since_ms))
    for part in parts:
        begin = begins.get(part)
        begun = ends[part] if begin is None else begin.offset
        # What is older than the log that is there now was deleted; a topic made anew begins before its old end.
        places[part] = max(begun, places[part]) if places.get(part, ends[part] + 1) <= ends[part] else begun
        consumer.seek(part, places[part])
    return ends
