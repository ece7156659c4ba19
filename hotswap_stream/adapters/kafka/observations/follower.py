"""The observations of the whole fleet, followed from a minute ago on."""

import time
from collections.abc import Mapping
from typing import Any, Self

import structlog
from aiokafka import TopicPartition

from hotswap_stream.adapters.kafka.recent_records import POLL_MS, RecentRecords, begin_recently
from hotswap_stream.application.monitoring.answered import Answered
from hotswap_stream.application.monitoring.figures import AnswerFigures, read_figures
from hotswap_stream.application.monitoring.traffic import WINDOW_SECONDS, RecentSums, Traffic
from hotswap_stream.kafka.reading import Record, read_to
from hotswap_stream.kafka.sessions import open_reader

_log = structlog.get_logger(__name__)


class ObservationFollower:
    """A TrafficView. `start` returns at once; it is `known` once what was there is read."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        self.passed_over = 0
        """Records that are no observation, or speak of another key's model; the agents make dead letters of them."""
        self._traffic = Traffic()
        self._newest_s = 0.0
        """Time of the newest record, by the broker's clock."""
        self._heard_s = time.monotonic()
        self._records = RecentRecords(client_options, topic, self._fold, seconds_back=WINDOW_SECONDS)

    @property
    def known(self) -> bool:
        """See TrafficView."""
        return self._records.known

    def start(self) -> None:
        """Begin to read, on the running event loop."""
        self._records.start()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Read no more."""
        await self._records.stop()

    @property
    def answered(self) -> Answered:
        """See TrafficView."""
        return self._traffic.answered

    def recent(self, model_name: str) -> dict[str, RecentSums]:
        """See TrafficView."""
        return self._traffic.recent(model_name, self._newest_s + time.monotonic() - self._heard_s)

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
        found = await begin_recently(consumer, topic, places, seconds_back=WINDOW_SECONDS)
        ends = {part: end for part, end in found.items() if places[part] < end}
        if ends:
            async for _part, records in read_to(consumer, ends, poll_ms=POLL_MS):
                for record in records:
                    figures = _figures(record)
                    if figures is not None:
                        now_s = max(now_s, record.timestamp / 1_000)
                        traffic.add(figures, record.timestamp / 1_000)
    return traffic, now_s


def _figures(record: Record) -> AnswerFigures | None:
    """Return what a record says; None for any bytes that are no observation, or that speak of another key's model."""
    found = read_figures(record.value)
    return found if found is not None and record.key == found.model_name.encode() else None
