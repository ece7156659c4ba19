"""What turned out about one answer, as the metrics that are made of feedback see it."""

from datetime import datetime

from msgspec import Struct

from hotswap_events.rollouts.strategy import MetricName, MetricRule
from hotswap_stream.application.observations.turned_out import TINY, ItemPlaces, NumberErrors
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_METRICS, LIVE_METRICS
from hotswap_stream.domain.statistics.samples import Moments

JUDGED_MEANS: tuple[MetricName, ...] = tuple(
    metric for metric in LIVE_METRICS if metric in FEEDBACK_METRICS - {"accuracy", "reward"}
)
"""Metrics by feedback that figures keep by their names."""


class JudgedAnswer(Struct, frozen=True, kw_only=True):
    """Feedback, joined to the answer it is about."""

    model_version: str
    answered_at: datetime
    rollout_id: str | None = None
    correct: bool | None = None
    """Whether the answer's label was the true one; None where no label came back."""
    reward: float | None = None
    errors: NumberErrors | None = None
    """How far its numbers were from the true ones; None where none came back."""
    chosen: ItemPlaces | None = None
    """Where it had the items that were chosen; None where none came back."""


def judged_value(rule: MetricRule, judged: JudgedAnswer) -> float | None:
    """Return what an answer adds to a metric that is made of feedback, in the metric's unit; None: nothing.

    Of a share that is 1 or 0.
    """
    metric = rule.metric
    if metric == "accuracy":
        return None if judged.correct is None else float(judged.correct)
    if metric == "reward":
        return judged.reward
    if judged.errors is not None and (error := _error(metric, judged.errors)) is not None:
        return min(error, rule.cut_off)
    if judged.chosen is not None:
        return _place(rule, judged.chosen)
    return None


def moments_of(value: float) -> Moments:
    """Return the sums over one value. One whose square would be none counts as 0."""
    return Moments(1, 0.0) if abs(value) < TINY else Moments(1, value, value**2)


def _error(metric: MetricName, errors: NumberErrors) -> float | None:
    if metric == "absolute-error":
        return errors.absolute
    if metric == "squared-error":
        return errors.squared
    return errors.percentage if metric == "percentage-error" else None


def _place(rule: MetricRule, chosen: ItemPlaces) -> float | None:
    if rule.metric == "hit-rate":
        return float(chosen.hit(rule.first))
    if rule.metric == "ndcg":
        return chosen.ndcg(rule.first)
    return chosen.reciprocal_rank if rule.metric == "reciprocal-rank" else None
