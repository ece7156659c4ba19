"""The part of a release's history in which an analysis promotes, and the event says who let it."""

from hotswap_events.rollouts.strategy import CanaryStrategy, MetricRule, RolloutPolicy
from hotswap_stream.domain.reserved import ANALYSIS_ACTOR
from tests.replay.rollout_history import Sender
from tests.support.samples.registry import register, validate
from tests.support.samples.rollouts import EVIDENCE, change_strategy, record_analysis, start_rollout

BY_ACCURACY = RolloutPolicy(metrics=(MetricRule(metric="accuracy", margin=0.02),))


async def approvals(writers: Sender) -> None:
    """Started with a reason, changed by somebody else without one."""
    by_analysis = {"actor": ANALYSIS_ACTOR, "evidence": EVIDENCE}
    await writers.send(
        register("v1"),
        validate("v1", promote_first=True),
        register("v2"),
        validate("v2", 0.98, ("v1", 0.97)),
        start_rollout(CanaryStrategy(weight=1_000), "v2", policy=BY_ACCURACY, reason="faster"),
        record_analysis("successful", 10, model_version="v2", **by_analysis),
        register("v3"),
        validate("v3", 0.98, ("v2", 0.97)),
        start_rollout(CanaryStrategy(weight=1_000), "v3", policy=BY_ACCURACY, reason="smaller"),
        change_strategy(CanaryStrategy(weight=2_000), actor="bob"),
        record_analysis("successful", 20, model_version="v3", **by_analysis),
    )
