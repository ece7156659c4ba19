"""What a strategy and a policy must be, whoever wrote them. A message says what was wrong and what would be right."""

import math
from collections.abc import Sized

from msgspec import UnsetType

from hotswap_events.rollouts.events import EVIDENCE_FIGURES_MAX, EVIDENCE_MAX, Evidence, MetricEvidence
from hotswap_events.rollouts.strategy import (
    ARMS_MAX,
    METRICS_MAX,
    STEPS_MAX,
    WEIGHT_TOTAL,
    WORKERS_NAMED_MAX,
    AbStrategy,
    AnalysisStep,
    FleetStrategy,
    MetricRule,
    ProgressiveStrategy,
    RolloutPolicy,
    SetWeightStep,
    Strategy,
)
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.live_metrics import (
    ERROR_METRICS,
    FIRST_METRICS,
    LIVE_METRICS,
    RELATIVE_METRICS,
    lower_is_better,
)

AGAINST_NOTHING = ("agreement", "input-drift", "score-drift")
"""Metrics that compare with the baseline by themselves, so that a margin means nothing."""


def wrong_count(what: str, values: Sized, most: int, least: int = 0) -> str | None:
    """Return why there are too many or too few of something, or None."""
    if least <= len(values) <= most:
        return None
    return f"{len(values)} {what}; {least} to {most} are allowed"


def wrong_strategy(strategy: Strategy) -> str | None:
    """Return why this cannot be a strategy, or None."""
    if wrong := limits.wrong_shape(strategy, Strategy):
        return f"strategy: {wrong}"
    if wrong := _wrong_counts(strategy):
        return wrong
    if isinstance(strategy, AbStrategy):
        names = [arm.model_version for arm in strategy.arms]
        total = sum(arm.weight for arm in strategy.arms)
        if len(set(names)) != len(names):
            return f"arms {', '.join(names)} name a version twice; each arm needs a version of its own"
        if total != WEIGHT_TOTAL:
            return f"the arms' weights add up to {total}; {WEIGHT_TOTAL} is needed"
    if isinstance(strategy, ProgressiveStrategy) and all(isinstance(step, SetWeightStep) for step in strategy.steps):
        return (
            "a progressive rollout without a pause or an analysis would promote at once; add such a step, or use "
            "'promote'"
        )
    if isinstance(strategy, FleetStrategy) and not strategy.share and not strategy.workers:
        return "a fleet canary needs a share of the workers above 0, or names of workers"
    return None


def _wrong_counts(strategy: Strategy) -> str | None:
    if isinstance(strategy, AbStrategy):
        return wrong_count("arms", strategy.arms, ARMS_MAX, 2)
    if isinstance(strategy, ProgressiveStrategy):
        return wrong_count("steps", strategy.steps, STEPS_MAX, 1)
    return wrong_count("workers", strategy.workers, WORKERS_NAMED_MAX) if isinstance(strategy, FleetStrategy) else None


def wrong_rollout_policy(policy: RolloutPolicy, strategy: Strategy) -> str | None:
    """Return why this cannot be the policy of a rollout by this strategy, or None."""
    if wrong := limits.wrong_shape(policy, RolloutPolicy):
        return f"policy: {wrong}"
    if wrong := wrong_count("metrics", policy.metrics, METRICS_MAX):
        return wrong
    for rule in policy.metrics:
        if wrong := _wrong_rule(rule):
            return wrong
    names = [rule.metric for rule in policy.metrics]
    if len(set(names)) != len(names):
        return f"metrics {', '.join(names)} name a metric twice; one rule each"
    if isinstance(strategy, ProgressiveStrategy):
        for step in strategy.steps:
            missing = set(step.metrics) - set(names) if isinstance(step, AnalysisStep) else set[str]()
            if missing:
                return f"a step analyses {', '.join(sorted(missing))}, but the policy has no rule for it"
            if isinstance(step, AnalysisStep) and not names:
                return "a step is an analysis, but the policy has no metrics"
    return None


def _wrong_rule(rule: MetricRule) -> str | None:
    name = rule.metric
    if rule.threshold is None and rule.margin is None and rule.relative is None:
        return f"metric {name}: a threshold or a margin is needed"
    for what, value in (
        ("threshold", rule.threshold),
        ("margin", rule.margin),
        ("relative_margin", rule.relative),
        ("slow_ms", rule.slow_ms),
    ):
        if value is not None and not math.isfinite(value):
            return f"metric {name}: {what} is {value}; a finite number is needed"
    if name in AGAINST_NOTHING and (rule.margin, rule.relative) != (None, None):
        return f"metric {name} compares with the baseline by itself: give a threshold, not a margin"
    if (name == "latency") != (rule.slow_ms is not None):
        return "metric latency needs slow_ms, and no other metric takes it: an answer above slow_ms ms is slow"
    return _wrong_threshold(rule) or _wrong_relative(rule) or _wrong_extras(rule)


def _wrong_threshold(rule: MetricRule) -> str | None:
    if rule.threshold is None:
        return None
    name, unit = rule.metric, LIVE_METRICS[rule.metric].unit
    if unit in ("share", "distance") and not 0 <= rule.threshold <= 1:
        return f"metric {name}: threshold is {rule.threshold}; a share from 0 to 1 is needed"
    if name in ERROR_METRICS and not 0 <= rule.threshold < rule.cut_off:
        return (
            f"metric {name}: threshold is {rule.threshold}; an error from 0 to less than {rule.cut_off:g}, where "
            "errors are cut off, is needed"
        )
    return None


def _wrong_relative(rule: MetricRule) -> str | None:
    name = rule.metric
    if rule.relative is None:
        return None
    if rule.margin is not None:
        return f"metric {name}: give margin or relative_margin, not both"
    if name == "reward":
        return "metric reward: a reward may be 0 or less, and a part of it says nothing then; give margin, in rewards"
    if name not in RELATIVE_METRICS:
        return f"metric {name}: give margin, as a share of the answers, instead of relative_margin"
    if not lower_is_better(name) and rule.relative >= 1:
        return f"metric {name}: relative_margin is {rule.relative}; less than 1 is needed, 0.05 is 5 %"
    return None


def _wrong_extras(rule: MetricRule) -> str | None:
    if rule.metric not in ERROR_METRICS and not isinstance(rule.error_max, UnsetType):
        return (
            f"metric {rule.metric} is no error, so error_max says nothing: {', '.join(sorted(ERROR_METRICS))} take it"
        )
    if rule.metric not in FIRST_METRICS and not isinstance(rule.at, UnsetType):
        return f"metric {rule.metric} takes no 'at': {', '.join(sorted(FIRST_METRICS))} are of the best so many items"
    return None


def wrong_evidence(evidence: tuple[MetricEvidence, ...]) -> str | None:
    """Return why the evidence cannot be stored, or None. JSON has no NaN and no infinity."""
    if wrong := limits.wrong_shape(evidence, Evidence):
        return f"evidence: {wrong}"
    if wrong := wrong_count("entries of evidence", evidence, EVIDENCE_MAX):
        return wrong
    for entry in evidence:
        if len(entry.figures) > EVIDENCE_FIGURES_MAX:
            return (
                f"evidence of {entry.metric} has {len(entry.figures)} figures; at most {EVIDENCE_FIGURES_MAX} are kept"
            )
        numbers = {
            name: value
            for name in ("value", "baseline_value", "lower", "upper", "p_value", "threshold", "margin")
            if (value := getattr(entry, name)) is not None
        }
        if wrong := limits.wrong_figures(f"evidence of {entry.metric}", {**numbers, **entry.figures}):
            return wrong
    return None
