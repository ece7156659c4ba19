"""Have live inputs or scores moved away from the data a version was made from? What was observed, against its profile.

Each named distribution is looked at once, so the bound of `domain/statistics/drift.py` is spent on this one look, and
shared by all names. Whoever asks again asks anew: with `ALPHA` at 1 %, one report in a hundred shows a shift of data
that has not shifted.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.inference.observation import Observation, ObservationRole
from hotswap_events.registry.profile import ModelProfiled
from hotswap_stream.application.observations.history import RecordedHistory, TooManyRecordsError, in_turns
from hotswap_stream.application.observations.sketch import Sketch, readable_sketches
from hotswap_stream.application.registry.queries import Streams, find_version, unknown_model
from hotswap_stream.domain.statistics.drift import drift, largest_distance

ALPHA = 0.01
ROWS_MIN = 50
"""Fewer values on a side show nothing."""
RECORDS_MAX = 100_000
"""One report folds at most this many observations of a version: half a minute of work."""
RUNS_MAX = 10_000
NAMES_MAX = 16
"""Distributions in a report."""
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)

LIVE_ROLES: tuple[ObservationRole, ...] = ("primary", "probe", "fallback", "shadow")
"""Their requests are those that came, not those that somebody sent to this version by its name."""

DriftVerdict = Literal["shift", "none", "too-few", "no-profile"]


class Spread(Struct, frozen=True, kw_only=True):
    """Quantiles of values: 5 % of them lie below `p05`."""

    p05: float
    p25: float
    p50: float
    p75: float
    p95: float


class DistributionDrift(Struct, frozen=True, kw_only=True):
    """One distribution, live and in training."""

    name: str
    """`input`: means of the first input's rows; `input.3`: its element 3; `score`: the version's scores."""
    verdict: DriftVerdict
    live_count: int
    """Values in the sketches: of a sample of the rows."""
    training_count: int
    distance: float | None = None
    """The largest one between the distribution functions, 0 to 1."""
    limit: float | None = None
    """What chance, the sketches and the tolerance explain; a distance above it is a shift."""
    live: Spread | None = None
    training: Spread | None = None


class DriftReport(Struct, frozen=True, kw_only=True):
    """A version's live data against those it was made from."""

    model_name: str
    model_version: str
    since: datetime
    until: datetime | None
    """None: up to the present."""
    verdict: DriftVerdict
    """`shift` if there is one anywhere."""
    distributions: tuple[DistributionDrift, ...]
    profile_source: str | None
    profile_rows: int
    records: int
    """Observations folded."""
    rows: int
    """Rows answered in them."""
    unreadable: int
    """Sketches that were none, in the observations or the profile."""
    tolerance: float
    alpha: float = ALPHA


class LiveData:
    """Observations of one version, folded."""

    def __init__(self, model_version: str) -> None:
        self.records = self.rows = self.unreadable = 0
        self.sketches: dict[str, Sketch] = {}
        self._model_version = model_version
        self._runs: dict[str, int] = {}

    def observe(self, record: Observation) -> bool:
        """Take in an observation. Return whether it was of this version, live, and not read before."""
        if record.model_version != self._model_version or record.role not in LIVE_ROLES:
            return False
        last = self._runs.pop(record.worker_run, 0)
        self._runs[record.worker_run] = max(last, record.sequence)
        while len(self._runs) > RUNS_MAX:
            del self._runs[next(iter(self._runs))]
        if record.sequence <= last:
            return False
        self.records += 1
        self.rows += record.rows
        for name, encoded in record.sketches.items():
            try:
                if name in self.sketches:
                    self.sketches[name].merge(encoded)
                elif len(self.sketches) < NAMES_MAX:
                    self.sketches[name] = Sketch(encoded)
            except ValueError:
                self.unreadable += 1
        return True


async def drift_report(
    streams: Streams,
    model_name: str,
    history: RecordedHistory,
    *,
    since: datetime,
    until: datetime | None = None,
    model_version: str | None = None,
    tolerance: float = 0.0,
) -> DriftReport | Refusal:
    """Return the report on a version, or the refusal that says why there is none.

    Args:
        streams: The models as folded from the log.
        model_name: The model.
        history: Where its observations are kept.
        since: The first time that is looked at.
        until: The last one; None looks up to the present.
        model_version: The version; None takes the active one.
        tolerance: A distance that nobody minds, from 0 to below 1.

    Raises:
        ValueError: Another tolerance.
        HotswapError: The observations cannot be read, or are too many.
    """
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}; a distance from 0 to below 1 is needed")
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    name = model_version or stream.state.active_version
    if name is None:
        return Refusal(
            code="illegal-step",
            reason=f"{model_name!r} has no active version; name the version to look at",
            legal=("promote", "switch"),
        )
    version = find_version(streams, model_name, name)
    if isinstance(version, Refusal):
        return version
    live = LiveData(name)
    async for recorded in in_turns(history.read(model_name, since, until)):
        value = recorded.value
        if isinstance(value, Observation) and live.observe(value) and live.records > RECORDS_MAX:
            raise TooManyRecordsError(f"more than {RECORDS_MAX} observations of {name!r}: ask about a shorter time")
    profile = stream.state.versions[name].profile
    training, unreadable = _read(profile)
    names = sorted({*training, *live.sketches}, key=_order)
    distributions = tuple(
        _compared(each, live.sketches.get(each), training.get(each), alpha=ALPHA / len(names), tolerance=tolerance)
        for each in names
    )
    return DriftReport(
        model_name=model_name,
        model_version=name,
        since=since,
        until=until,
        verdict=_overall(each.verdict for each in distributions) if profile is not None else "no-profile",
        distributions=distributions,
        profile_source=None if profile is None else profile.source,
        profile_rows=0 if profile is None else profile.rows,
        records=live.records,
        rows=live.rows,
        unreadable=live.unreadable + unreadable,
        tolerance=tolerance,
    )


def _read(profile: ModelProfiled | None) -> tuple[dict[str, Sketch], int]:
    """Return the profile's sketches, and how many are none."""
    encoded = {} if profile is None else profile.sketches
    found = readable_sketches(encoded)
    return found, len(encoded) - len(found)


def _compared(
    name: str, live: Sketch | None, training: Sketch | None, *, alpha: float, tolerance: float
) -> DistributionDrift:
    live_count = 0 if live is None else live.count
    training_count = 0 if training is None else training.count
    verdict: DriftVerdict = "no-profile" if training is None else "too-few"
    distance = limit = None
    if live is not None and training is not None and min(live_count, training_count) >= ROWS_MIN:
        points = sorted({*live.points(), *training.points()})
        evidence = drift(
            largest_distance(training.shares_up_to(points), live.shares_up_to(points)),
            reference_count=training_count,
            current_count=live_count,
            look=1,
            # Of the first of endlessly many looks it would spend a half.
            alpha=2 * alpha,
            tolerance=tolerance,
            rank_error=min(0.999, live.rank_error + training.rank_error),
        )
        distance, limit = evidence.distance, evidence.limit
        verdict = "shift" if evidence.drifted else "none"
    return DistributionDrift(
        name=name,
        verdict=verdict,
        live_count=live_count,
        training_count=training_count,
        distance=distance,
        limit=limit,
        live=_spread(live),
        training=_spread(training),
    )


def _spread(sketch: Sketch | None) -> Spread | None:
    values = [] if sketch is None else sketch.quantiles(list(SHARES))
    return Spread(p05=values[0], p25=values[1], p50=values[2], p75=values[3], p95=values[4]) if values else None


def _overall(verdicts: Iterable[DriftVerdict]) -> DriftVerdict:
    found = set(verdicts)
    ranked: tuple[DriftVerdict, ...] = ("shift", "none", "too-few")
    return next((each for each in ranked if each in found), "no-profile")


def _order(name: str) -> tuple[str, int]:
    """Return what sorts names: `input`, then its elements by their numbers, then `score`."""
    prefix, _dot, index = name.partition(".")
    return prefix, int(index) if index.isascii() and index.isdigit() else -1
