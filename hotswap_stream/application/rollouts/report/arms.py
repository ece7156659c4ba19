"""What one version did in a rollout, as figures with their intervals."""

from typing import Literal

from msgspec import Struct

from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.application.rollouts.analysis.figures import VersionFigures
from hotswap_stream.domain.deciding.live_metrics import LIVE_METRICS, Better, is_share, shown_name
from hotswap_stream.domain.statistics.beta_binomial import rate_interval
from hotswap_stream.domain.statistics.evidence import finite
from hotswap_stream.domain.statistics.latency_histogram import quantile_ms
from hotswap_stream.domain.statistics.means import mean_interval
from hotswap_stream.domain.statistics.samples import Counts, Moments


class RateShown(Struct, frozen=True, kw_only=True):
    """A share with its interval."""

    successes: int
    count: int
    rate: float
    lower: float
    upper: float


class RewardShown(Struct, frozen=True, kw_only=True):
    """A mean with its interval; no ends below 100 values."""

    count: int
    mean: float
    lower: float | None
    upper: float | None


class FigureShown(Struct, frozen=True, kw_only=True):
    """A mean, or a share, that is made of feedback."""

    name: str
    """With what belongs to it: `hit-rate at 10`."""
    better: Better
    unit: str
    """`target`: that of what is predicted."""
    count: int
    """Answers that it is made of."""
    value: float
    lower: float | None
    """No ends of means below 100 values."""
    upper: float | None


class ArmReport(Struct, frozen=True, kw_only=True):
    """What one version did in the rollout."""

    model_version: str
    arm: Literal["baseline", "candidate"]
    weight: int
    """Its share of 10,000, as the traffic is split now."""
    requests: int
    answers: int
    success_rate: RateShown | None = None
    compute_ms_mean: float | None = None
    """Mean duration of the forward passes."""
    compute_ms_p95: float | None = None
    """At most 9 % too high: read from a histogram."""
    total_ms_mean: float | None = None
    """From request to answer."""
    total_ms_p95: float | None = None
    agreement: RateShown | None = None
    """Agreement of a shadow's rows with the primary's."""
    accuracy: RateShown | None = None
    reward: RewardShown | None = None
    by_feedback: dict[str, FigureShown] = {}
    """Errors and rankings, by metric, as far as feedback told of them."""


def arm_report(
    name: str, is_baseline: bool, weight: int, figures: VersionFigures | None, policy: RolloutPolicy
) -> ArmReport:
    """Return what a version did; `figures` are None where nothing was heard of it."""
    known = figures or VersionFigures()
    total_count = sum(known.total_buckets.values())
    rewards = known.rewards
    rules = {rule.metric: rule for rule in policy.metrics}
    lower, upper = mean_interval(rewards, policy.alpha)
    bounded = lower != float("-inf")
    return ArmReport(
        model_version=name,
        arm="baseline" if is_baseline else "candidate",
        weight=weight,
        requests=known.outcomes.trials,
        answers=known.answers,
        success_rate=_rate(known.outcomes, policy.alpha),
        compute_ms_mean=known.compute_ms / known.answers if known.answers else None,
        compute_ms_p95=quantile_ms(known.compute_buckets, 0.95),
        total_ms_mean=known.total_ms / total_count if total_count else None,
        total_ms_p95=quantile_ms(known.total_buckets, 0.95),
        agreement=_rate(known.agreement, policy.alpha),
        accuracy=_rate(known.labelled, policy.alpha),
        reward=None
        if not rewards.count
        else RewardShown(
            count=rewards.count,
            mean=rewards.mean,
            lower=lower if bounded else None,
            upper=upper if bounded else None,
        ),
        by_feedback={
            metric: _figure(rules.get(metric, MetricRule(metric=metric)), values, policy.alpha)
            for metric, values in known.means.items()
        },
    )


def _figure(rule: MetricRule, values: Moments, alpha: float) -> FigureShown:
    if is_share(rule.metric):
        lower, upper = rate_interval(Counts(round(values.total), values.count), alpha)
    else:
        lower, upper = mean_interval(values, alpha)
    return FigureShown(
        name=shown_name(rule),
        better=LIVE_METRICS[rule.metric].better,
        unit=LIVE_METRICS[rule.metric].unit,
        count=values.count,
        value=values.mean,
        lower=finite(lower),
        upper=finite(upper),
    )


def _rate(counts: Counts, alpha: float) -> RateShown | None:
    if not counts.trials:
        return None
    lower, upper = rate_interval(counts, alpha)
    return RateShown(successes=counts.successes, count=counts.trials, rate=counts.rate, lower=lower, upper=upper)
