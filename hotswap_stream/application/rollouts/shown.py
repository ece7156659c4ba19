"""What rollouts that go on show, as the evidence topic says: the newest of each metric, and its way there."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from hotswap_events.nesting import nests_too_deep
from hotswap_events.rollouts.evidence import EVIDENCE_BYTES_MAX, EvidenceVerdict, RolloutEvidence
from hotswap_events.rollouts.strategy import ARMS_MAX, METRICS_MAX

ROLLOUTS_MAX = 1_000
"""Rollouts of which something is kept; the one that was not spoken of for longest goes first."""
SERIES_MAX = (ARMS_MAX - 1) * METRICS_MAX
"""Metrics of candidates in one rollout."""
SERIES_OF_ALL_MAX = 4_000
POINTS_MAX = 128
"""Points of a series. When it is full, every second goes, and from then on only every second record becomes one."""

_decoder = msgspec.json.Decoder(RolloutEvidence)


class EvidencePoint(Struct, frozen=True, kw_only=True, gc=False):
    """What one metric showed at one time."""

    at: datetime
    count: int
    estimate: float | None
    lower: float | None
    upper: float | None
    limit: float | None
    verdict: EvidenceVerdict
    step_index: int | None


class EvidenceSeries(Struct, frozen=True, kw_only=True):
    """The way of one metric of one candidate, oldest first."""

    model_version: str
    metric: str
    points: tuple[EvidencePoint, ...]


class RolloutShown(Struct, frozen=True, kw_only=True):
    """What a rollout shows, and how it came there."""

    model_name: str
    rollout_id: str
    latest: tuple[RolloutEvidence, ...]
    """The newest record of each metric and candidate."""
    history: tuple[EvidenceSeries, ...]


Heard = Callable[[RolloutEvidence], None]


class EvidenceView(Protocol):
    """What is known here of rollouts that go on."""

    @property
    def known(self) -> bool:
        """Whether the topic is followed; else what is shown is as old as it may be."""
        ...

    def latest(self, model_name: str, rollout_id: str) -> tuple[RolloutEvidence, ...]:
        """Return the newest record of each metric and candidate."""
        ...

    def shown(self, model_name: str, rollout_id: str) -> RolloutShown:
        """Return what a rollout shows, and how it came there; empty where nothing was read."""
        ...

    def listen(self, heard: Heard) -> Callable[[], None]:
        """Call `heard` with each record from now on; returns the function that ends it."""
        ...


def read_evidence(key: bytes | None, value: bytes | None) -> RolloutEvidence | None:
    """Return a record; None for any bytes that are none, or that speak of another model than their key."""
    if value is None or len(value) > EVIDENCE_BYTES_MAX or nests_too_deep(value):
        return None
    try:
        found = _decoder.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return found if key == found.model_name.encode() else None


class _Series(Struct, gc=False):
    latest: RolloutEvidence
    points: list[EvidencePoint]
    stride: int = 1
    seen: int = 0

    def take(self, record: RolloutEvidence) -> None:
        self.latest = record
        if self.seen % self.stride == 0:
            self.points.append(_point(record))
            if len(self.points) >= POINTS_MAX:
                del self.points[1::2]
                self.stride *= 2
        self.seen += 1


class EvidenceFold:
    """Takes in records in the order of the topic: of two of one metric the later one holds."""

    def __init__(self) -> None:
        self._rollouts: dict[tuple[str, str], dict[tuple[str, str], _Series]] = {}
        """Model and rollout → version and metric; the one that was spoken of last is the last."""
        self._series = 0

    def take(self, record: RolloutEvidence) -> bool:
        """Take in a record; return whether there was room for it."""
        place = (record.model_name, record.rollout_id)
        series = self._rollouts.pop(place, {})
        self._rollouts[place] = series
        name = (record.model_version, record.metric)
        known = series.get(name)
        if known is None:
            if len(series) >= SERIES_MAX:
                return False
            known = series[name] = _Series(latest=record, points=[])
            self._series += 1
        known.take(record)
        while len(self._rollouts) > ROLLOUTS_MAX or (self._series > SERIES_OF_ALL_MAX and len(self._rollouts) > 1):
            self._series -= len(self._rollouts.pop(next(iter(self._rollouts))))
        return True

    def latest(self, model_name: str, rollout_id: str) -> tuple[RolloutEvidence, ...]:
        """See EvidenceView."""
        found = self._rollouts.get((model_name, rollout_id), {})
        return tuple(series.latest for series in found.values())

    def shown(self, model_name: str, rollout_id: str) -> RolloutShown:
        """See EvidenceView."""
        found = self._rollouts.get((model_name, rollout_id), {})
        return RolloutShown(
            model_name=model_name,
            rollout_id=rollout_id,
            latest=self.latest(model_name, rollout_id),
            history=tuple(
                EvidenceSeries(model_version=version, metric=metric, points=_with_last(series))
                for (version, metric), series in found.items()
            ),
        )


def _with_last(series: _Series) -> tuple[EvidencePoint, ...]:
    last = _point(series.latest)
    return tuple(series.points) if series.points and series.points[-1] == last else (*series.points, last)


def _point(record: RolloutEvidence) -> EvidencePoint:
    return EvidencePoint(
        at=record.at,
        count=record.count,
        estimate=record.estimate,
        lower=record.lower,
        upper=record.upper,
        limit=record.limit,
        verdict=record.verdict,
        step_index=record.step_index,
    )
