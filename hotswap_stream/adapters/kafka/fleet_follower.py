"""The fleet topic, read once to its end or followed."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from hotswap_events.inference.fleet import HEARTBEAT_SECONDS, LIVE_SECONDS_MAX
from hotswap_stream.adapters.kafka.whole_topic import POLL_MS, WholeTopic
from hotswap_stream.application.inference.fleet import FleetFold, FleetWorker
from hotswap_stream.kafka.reading import Record, read_all
from hotswap_stream.kafka.sessions import open_reader

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


class FleetFollower(WholeTopic):
    """A FleetView. `start` returns at once; it is `known` once the topic was read to its end."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        super().__init__(client_options, topic)
        self._fold = FleetFold()

    def workers(self, model_name: str) -> tuple[FleetWorker, ...]:
        """See FleetView."""
        return self._fold.workers(model_name, time.monotonic())

    def absent_s(self, model_name: str) -> float:
        """See FleetView."""
        return self._fold.absent_s(model_name, time.monotonic())

    def begin(self) -> None:
        """See WholeTopic."""
        self._fold = FleetFold()

    def caught_up(self) -> None:
        """See WholeTopic."""
        self._fold.caught_up(time.monotonic())

    def take(self, record: Record) -> None:
        """See WholeTopic."""
        _apply((record,), self._fold, known=self.known)


async def _fold_next(consumer: AIOKafkaConsumer, fold: FleetFold, *, known: bool) -> None:
    for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
        _apply(records, fold, known=known)


def _apply(records: Iterable[Record], fold: FleetFold, *, known: bool) -> None:
    for record in records:
        appended_s = record.timestamp / 1_000
        fold.apply(record.key, record.value, time.monotonic() if known else appended_s, appended_s)
