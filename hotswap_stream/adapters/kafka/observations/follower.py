"""The observations of the whole fleet, followed from a minute ago on."""

import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from hotswap_stream.adapters.kafka.recent_records import RecentFollower, read_recently
from hotswap_stream.application.monitoring.answered import Answered
from hotswap_stream.application.monitoring.figures import AnswerFigures, read_figures
from hotswap_stream.application.monitoring.traffic import WINDOW_SECONDS, RecentSums, Traffic
from hotswap_stream.kafka.reading import Record


class ObservationFollower(RecentFollower):
    """A TrafficView. Passes over what is no observation, or speaks of another key's model: agents put that aside."""

    def __init__(self, client_options: Mapping[str, Any], topic: str) -> None:
        super().__init__(client_options, topic, unusable="observation_passed_over", seconds_back=WINDOW_SECONDS)
        self._traffic = Traffic()
        self._newest_s = 0.0
        """Time of the newest record, by the broker's clock."""
        self._heard_s = time.monotonic()

    @property
    def answered(self) -> Answered:
        """See TrafficView."""
        return self._traffic.answered

    def recent(self, model_name: str) -> dict[str, RecentSums]:
        """See TrafficView."""
        return self._traffic.recent(model_name, self._newest_s + time.monotonic() - self._heard_s)

    def _take(self, record: Record) -> bool:
        found = _figures(record)
        if found is None:
            return False
        at_s = record.timestamp / 1_000
        if at_s >= self._newest_s:
            self._newest_s, self._heard_s = at_s, time.monotonic()
        self._traffic.add(found, at_s)
        return True


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
    async with aclosing(read_recently(client_options, topic, seconds_back=WINDOW_SECONDS)) as records:
        async for record in records:
            figures = _figures(record)
            if figures is not None:
                now_s = max(now_s, record.timestamp / 1_000)
                traffic.add(figures, record.timestamp / 1_000)
    return traffic, now_s


def _figures(record: Record) -> AnswerFigures | None:
    """Return what a record says; None for any bytes that are no observation, or that speak of another key's model."""
    found = read_figures(record.value)
    return found if found is not None and record.key == found.model_name.encode() else None
