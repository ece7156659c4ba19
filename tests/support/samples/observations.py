"""Observations as workers would send them: seeded, a record a second and version."""

import random
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from hotswap_events.inference.observation import LatencyCounts, Observation
from hotswap_stream.domain.statistics.latency_histogram import bucket_of
from tests.support.samples.registry import EPOCH, MODEL

BEGIN = EPOCH + timedelta(hours=1)


class ObservedTraffic:
    """A worker's records. `rates`: version → share of its requests that are answered well."""

    def __init__(self, seed: int = 1, worker: str = "w1", answers_a_second: int = 400) -> None:
        self.now = BEGIN
        self.worker = worker
        self._random = random.Random(seed)
        self._answers_a_second = answers_a_second
        self._sequence = 0

    def second(
        self,
        rates: Mapping[str, float],
        weights: Mapping[str, int],
        *,
        rollout_id: str | None = "r1",
        compute_ms: Mapping[str, float] | None = None,
        **fields: Any,
    ) -> Iterator[Observation]:
        """The records of the next second."""
        since, self.now = self.now, self.now + timedelta(seconds=1)
        for name, weight in weights.items():
            requests = self._answers_a_second * weight // 10_000
            if not requests:
                continue
            answers = sum(self._random.random() < rates[name] for _request in range(requests))
            ms = (compute_ms or {}).get(name, 3.0)
            yield self.record(
                name,
                since=since,
                rollout_id=rollout_id,
                answers=answers,
                errors={"model-failure": requests - answers} if requests > answers else {},
                compute=LatencyCounts(buckets={bucket_of(ms): answers}, total_ms=ms * answers),
                **fields,
            )

    def record(self, model_version: str, *, since: datetime | None = None, **fields: Any) -> Observation:
        """One record up to now; `fields` override those of a primary's."""
        self._sequence += 1
        defaults = {
            "worker": self.worker,
            "worker_run": f"{self.worker}-run",
            "sequence": self._sequence,
            "model_name": MODEL,
            "role": "primary",
            "since": since or self.now - timedelta(seconds=1),
            "until": self.now,
        }
        return Observation(model_version=model_version, **{**defaults, **fields})
