"""Which metrics a strategy can measure at all: a rule on another one would never decide anything."""

from hotswap_events.rollouts.strategy import (
    AbStrategy,
    FixedStrategy,
    MetricName,
    MetricRule,
    RolloutPolicy,
    ShadowStrategy,
    Strategy,
)
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_METRICS

OF_SHADOWS: frozenset[MetricName] = frozenset({"success-rate", "latency", "agreement", "score-drift"})
DRIFTS: frozenset[MetricName] = frozenset({"input-drift", "score-drift"})


def unmeasurable(policy: RolloutPolicy, strategy: Strategy, baseline_version: str) -> str | None:
    """Return why a rule of this policy could never take part in a decision under this strategy, or None.

    A fixed strategy has no analysis: nothing is waited for, whatever the policy says. What a shadow lacks because it
    answers nobody may come in the bake, if there is one.
    """
    if isinstance(strategy, FixedStrategy):
        return None
    for rule in policy.metrics:
        if wrong := _unmeasurable(rule, strategy, baseline_version, bakes=policy.bake_seconds > 0):
            return f"metric {rule.metric}: {wrong}"
    return None


def _unmeasurable(rule: MetricRule, strategy: Strategy, baseline_version: str, *, bakes: bool) -> str | None:
    if isinstance(strategy, ShadowStrategy):
        if rule.metric in OF_SHADOWS or (bakes and rule.metric in FEEDBACK_METRICS):
            return None
        if rule.metric == "input-drift":
            return "a shadow sees the requests of what answers, so it cannot drift from that; leave it out"
        return (
            "a shadow answers nobody, so nothing comes back about it, and there is no bake (bake_seconds) behind its "
            f"promotion; it can be judged by {', '.join(sorted(OF_SHADOWS))}"
        )
    if rule.metric == "agreement":
        return "it compares a shadow with what answers, and this strategy has no shadow; give a policy without it"
    if isinstance(strategy, AbStrategy) and not _has_traffic(strategy, baseline_version):
        if rule.metric in DRIFTS:
            return f"it compares with the baseline {baseline_version}, which gets no traffic here; give it an arm"
        # Of the success rate it is known what the baseline did before.
        if (rule.margin, rule.relative) != (None, None) and rule.metric != "success-rate":
            return (
                f"its margin is against the baseline {baseline_version}, which gets no traffic here; give it an arm, "
                "or a threshold instead of the margin"
            )
    return None


def _has_traffic(strategy: AbStrategy, model_version: str) -> bool:
    return any(arm.model_version == model_version and arm.weight for arm in strategy.arms)
