"""The fleet topic, read once to its end or followed."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Self

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hotswap_events.fleet import HEARTBEAT_SECONDS, LIVE_SECONDS_MAX
from hotswap_stream.application.inference.fleet import FleetFold, FleetWorker
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.kafka.reading import Record, read_all
from hotswap_stream.kafka.sessions import open_reader

_log = structlog.get_logger(__name__)

POLL_MS = 200
RETRY_SECONDS = 1.0
LISTEN_SECONDS = HEARTBEAT_SECONDS + 0.5


async def read_fleet(client_options: Mapping[str, Any], topic: str, *, listens: bool = True) -> FleetFold:
    """Read the fleet topic to its end, then listen for a moment: a worker that lives says something every two seconds.

    Args:
        client_options: For aiokafka.
        topic: The fleet topic.
        listens: False: return at once; workers that said something not long before the newest record count as live.

    Returns:
        A fold to be asked with times of `time.monotonic()`.

    Raises:
        KafkaError: The cluster cannot be read.
        LogUnavailableError: Nothing moved before the end.
    """
    fold = FleetFold()
    async with open_reader(client_options) as consumer:
        async for _partition, records in read_all(consumer, [TopicPartition(topic, 0)], poll_ms=POLL_MS):
            _apply(records, fold, known=False)
        if not listens:
            fold.caught_up(time.monotonic())
        elif fold.model_names():
            listened_s = time.monotonic() + LISTEN_SECONDS
            fold.caught_up(time.monotonic() - LIVE_SECONDS_MAX - 1)  # nobody lives who is not heard from here on
            while time.monotonic() < listened_s:
                await _fold_next(consumer, fold, known=True)
    return fold


class FleetFollower:
    """A FleetView. `start` returns at once; it is `known` once the topic was read to its end."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self.known = False
        self._client_options = dict(client_options)
        self._partition = TopicPartition(topic, 0)
        self._fold = FleetFold()
        self._tasks = WatchedTasks("following the fleet")

    def start(self) -> None:
        """Begin to read, on the running event loop."""
        self._tasks.start(self._follow(), name="fleet-follower")

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Read no more."""
        await self._tasks.stop()

    def workers(self, model_name: str) -> tuple[FleetWorker, ...]:
        """See FleetView."""
        return self._fold.workers(model_name, time.monotonic())

    def absent_s(self, model_name: str) -> float:
        """See FleetView."""
        return self._fold.absent_s(model_name, time.monotonic())

    async def _follow(self) -> None:
        while True:
            try:
                async with open_reader(self._client_options) as consumer:
                    try:
                        await self._read(consumer)
                    finally:
                        self.known = False
            except (KafkaError, OSError) as error:
                _log.warning("fleet_not_followed", error=repr(error))
            except Exception:  # noqa: BLE001 - whatever it was, from here on the fleet is unknown until it is read anew
                _log.exception("fleet_not_followed")
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        await consumer.seek_to_beginning(self._partition)
        end = (await consumer.end_offsets([self._partition]))[self._partition]
        self._fold = fold = FleetFold()
        while True:
            if not self.known and await consumer.position(self._partition) >= end:
                fold.caught_up(time.monotonic())
                self.known = True
            await _fold_next(consumer, fold, known=self.known)


async def _fold_next(consumer: AIOKafkaConsumer, fold: FleetFold, *, known: bool) -> None:
    for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
        _apply(records, fold, known=known)


def _apply(records: Iterable[Record], fold: FleetFold, *, known: bool) -> None:
    for record in records:
        appended_s = record.timestamp / 1_000
        fold.apply(record.key, record.value, time.monotonic() if known else appended_s, appended_s)
