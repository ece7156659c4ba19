"""What a test's interval is an interval of, and what it must get past: for people, in the metric's unit. Pure."""

from math import isfinite

from msgspec import Struct

from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.evidence import ComparedWith
from hotswap_stream.application.rollouts.analysis.metric_tests import MetricTest, given_up, has_margin
from hotswap_stream.domain.deciding.live_metrics import is_share, lower_is_better
from hotswap_stream.domain.statistics.beta_binomial import rate_interval
from hotswap_stream.domain.statistics.drift import DriftEvidence
from hotswap_stream.domain.statistics.evidence import Evidence
from hotswap_stream.domain.statistics.means import VALUES_MIN, mean_interval


class IntervalShown(Struct, frozen=True, kw_only=True):
    """What belongs to the ends of an interval."""

    compared_with: ComparedWith
    estimate: float | None = None
    limit: float | None = None
    """The metric passes when the whole interval is on the good side of it."""
    harm_limit: float | None = None
    """The metric fails when the whole interval is on the bad side of it."""


def interval_shown(
    test: MetricTest, evidences: tuple[Evidence, ...], told: MetricEvidence, *, alone: bool
) -> IntervalShown:
    """Return of what the interval in `told` is.

    Args:
        test: The test that the evidences are of.
        evidences: What it shows; the first one is what is told.
        told: The figures of the same test.
        alone: Whether the baseline gets no traffic, so that the candidate is held to what the baseline did before.
    """
    rule = test.rule
    down, share = lower_is_better(rule.metric), is_share(rule.metric)
    estimate = evidences[0].estimate if evidences else None
    held = _held_to(test) if alone and has_margin(rule) else None
    if has_margin(rule) and not alone:
        limit = _least_difference(test, told)
        return IntervalShown(
            compared_with="baseline",
            estimate=None if estimate is None else (-estimate if down else estimate) + 0.0,
            limit=limit,
            harm_limit=0.0,
        )
    itself = None if estimate is None else ((1 - estimate) if share else -estimate) if down else estimate
    if held is None:
        return IntervalShown(
            compared_with="threshold", estimate=itself, limit=rule.threshold, harm_limit=rule.threshold
        )
    limit = ((1 - held) if share else -held) if down else held
    return IntervalShown(compared_with="threshold", estimate=itself, limit=limit, harm_limit=limit)


def drift_shown(evidence: DriftEvidence | None) -> IntervalShown:
    """Return what a distance is held to: it has no interval, and passes when the budget is used without harm."""
    if evidence is None:
        return IntervalShown(compared_with="baseline")
    return IntervalShown(compared_with="baseline", estimate=evidence.distance, harm_limit=evidence.limit)


def _least_difference(test: MetricTest, told: MetricEvidence) -> float | None:
    """Return by how much the candidate may differ from the baseline, in the metric's unit."""
    rule = test.rule
    sign = 1 if lower_is_better(rule.metric) else -1
    if rule.relative is None:
        return sign * (rule.margin or 0.0) + 0.0
    # A part of what the baseline does, as far as that is known.
    value = told.baseline_value
    return None if value is None else sign * rule.relative * abs(value) + 0.0


def _held_to(test: MetricTest) -> float | None:
    """Return what a candidate without a baseline beside it must reach, where higher is better."""
    rule, found = test.rule, None
    if is_share(rule.metric):
        if test.baseline.trials:
            found = given_up(rule, rate_interval(test.baseline, test.alpha)[0])
    elif test.baseline_values.count >= VALUES_MIN:
        found = given_up(rule, mean_interval(test.baseline_values, test.alpha)[0])
    return found if found is not None and isfinite(found) else None
