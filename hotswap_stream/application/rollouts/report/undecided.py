"""Why a metric decides nothing yet: which end of its interval has not passed which limit, and what it may take."""

from math import ceil, log10

from msgspec import Struct

from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.strategy import MetricName
from hotswap_stream.domain.deciding.live_metrics import lower_is_better

ANSWERS_TOLD_MAX = 10_000_000


class Undecided(Struct, frozen=True, kw_only=True):
    """One metric of one candidate that shows neither success nor harm."""

    metric: MetricName
    model_version: str
    because: str
    answers_missing: int | None = None
    """About how many more answers of the candidate it takes, if they go on as before and the other arm grows alike.
    Null where that cannot be told."""


def undecided_of(entries: tuple[MetricEvidence, ...], answers_min: int) -> tuple[Undecided, ...]:
    """Return the reason for each metric that decides nothing."""
    return tuple(_reason(entry, answers_min) for entry in entries if entry.outcome == "inconclusive")


def _reason(entry: MetricEvidence, answers_min: int) -> Undecided:
    if not entry.count:
        return _undecided(entry, "there is nothing to measure yet", None)
    limits = _limits(entry)
    if entry.lower is None or entry.upper is None or limits is None:
        return _undecided(entry, f"{entry.count:,} answers are too few for an interval", None)
    good, bad = limits
    down = lower_is_better(entry.metric)
    for_good, for_bad = (entry.upper, entry.lower) if down else (entry.lower, entry.upper)
    if (for_good < good) if down else (for_good > good):
        missing = max(0, answers_min - entry.count)
        return _undecided(
            entry,
            f"it is good enough, and {entry.count:,} of the {answers_min:,} answers that a success needs are there",
            missing or None,
        )
    estimate, half = (entry.lower + entry.upper) / 2, (entry.upper - entry.lower) / 2
    sign = -1 if down else 1
    distance = max(sign * (estimate - good), sign * (bad - estimate))
    missing_answers = _missing(entry.count, half, distance)
    ends = ("upper", "lower") if down else ("lower", "upper")
    beyond = ("below", "above") if down else ("above", "below")
    told = "" if missing_answers is None else f"; about {missing_answers:,} more answers, if it goes on like this"
    return _undecided(
        entry,
        f"the {ends[0]} end {for_good:+.4g} is not {beyond[0]} {good:+.4g} (good enough), and the {ends[1]} end "
        f"{for_bad:+.4g} is not {beyond[1]} {bad:+.4g} (harm){told}",
        missing_answers,
    )


def _limits(entry: MetricEvidence) -> tuple[float, float] | None:
    """Return what the interval must pass to be good enough, and to be harm; None where the interval is of neither."""
    if entry.margin is not None:
        return (entry.margin, 0.0) if lower_is_better(entry.metric) else (-entry.margin, 0.0)
    if "relative_margin" in entry.figures or entry.threshold is None:
        return None
    return entry.threshold, entry.threshold


def _missing(count: int, half: float, distance: float) -> int | None:
    """Return by how much the count must grow for an interval as wide as the distance; widths go with 1/√n."""
    if distance <= 0 or half <= distance:
        return None
    missing = count * ((half / distance) ** 2 - 1)
    if missing > ANSWERS_TOLD_MAX:
        return None
    digits = max(0, int(log10(max(missing, 1))) - 1)
    step: int = 10**digits
    return max(1, ceil(missing / step) * step)


def _undecided(entry: MetricEvidence, because: str, missing: int | None) -> Undecided:
    return Undecided(metric=entry.metric, model_version=entry.model_version, because=because, answers_missing=missing)
