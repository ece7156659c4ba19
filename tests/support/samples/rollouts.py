"""Sample commands and events of rollouts, of the validation policy and of the clean-up, on the sample model."""

from typing import Any

from msgspec.structs import replace

from hotswap_events.commands import DeleteArtifact
from hotswap_events.registry.events import ArtifactDeleted
from hotswap_events.rollouts.commands import (
    AbortRollout,
    AdvanceRollout,
    ChangeStrategy,
    PauseRollout,
    PromoteRollout,
    RecordAnalysis,
    ResumeRollout,
    StartRollout,
)
from hotswap_events.rollouts.events import (
    MetricEvidence,
    RolloutAnalysisRecorded,
    RolloutBakeEnded,
    RolloutCompleted,
    RolloutPaused,
    RolloutResumed,
    RolloutStarted,
    RolloutStepEntered,
    RolloutStrategyChanged,
    RolloutWeightsSet,
)
from hotswap_events.rollouts.strategy import (
    AbStrategy,
    AnalysisStep,
    Arm,
    CanaryStrategy,
    FixedStrategy,
    FleetStrategy,
    MetricRule,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    RolloutStep,
    SetWeightStep,
    ShadowStrategy,
    Strategy,
)
from hotswap_events.validation.commands import SetValidationPolicy
from hotswap_events.validation.policy import FigureGate, ValidationPolicy, ValidationPolicySet
from tests.support.samples.registry import MODEL, CountingIds, artifact_of

_command_ids = CountingIds("rollout-command")

CANARY = CanaryStrategy(weight=500)
SHADOW = ShadowStrategy(sample_share=2_500)
POLICY = RolloutPolicy()
STRICT = RolloutPolicy(
    metrics=(
        MetricRule(metric="success-rate", margin=0.02),
        MetricRule(metric="latency", threshold=0.05, slow_ms=50.0),
        MetricRule(metric="agreement", threshold=0.9),
    ),
    seconds_max=600,
    answers_max=10_000,
    bake_seconds=300,
)
WITHOUT_SHADOW = replace(STRICT, metrics=STRICT.metrics[:2])
"""The same for a strategy that has no shadow, so that there is no agreement."""
EVIDENCE = (
    MetricEvidence(
        metric="success-rate",
        model_version="v2",
        outcome="successful",
        count=1_000,
        value=0.995,
        baseline_count=9_000,
        baseline_value=0.994,
        lower=-0.01,
        upper=0.012,
        p_value=0.03,
        margin=0.02,
        figures={"log_e": 3.5},
    ),
)


def set_weight(weight: int) -> SetWeightStep:
    return SetWeightStep(weight=weight)


def pause_step(duration_seconds: int | None = None) -> PauseStep:
    return PauseStep(duration_seconds=duration_seconds)


def analysis(**fields: Any) -> AnalysisStep:
    return AnalysisStep(**fields)


def progressive(*steps: RolloutStep) -> ProgressiveStrategy:
    """Default: 5 %, an analysis, 50 %, a pause until resumed."""
    return ProgressiveStrategy(steps=steps or (set_weight(500), analysis(), set_weight(5_000), pause_step()))


def ab(**weights: int) -> AbStrategy:
    """`v1=5_000, v2=5_000`."""
    return AbStrategy(arms=arms(**weights))


def fixed(model_version: str) -> FixedStrategy:
    return FixedStrategy(model_version=model_version)


def fleet(share: int = 0, *workers: str) -> FleetStrategy:
    return FleetStrategy(share=share, workers=workers)


def arms(**weights: int) -> tuple[Arm, ...]:
    """In the order given: the baseline comes first."""
    return tuple(Arm(model_version=name, weight=weight) for name, weight in weights.items())


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    given = {"actor": "alice", "model_name": MODEL, **attributes}
    if "command_id" not in given:
        given["command_id"] = _command_ids.new_id()
    return given


def start_rollout(strategy: Strategy = CANARY, *candidates: str, **attributes: Any) -> StartRollout:
    return StartRollout(strategy=strategy, candidates=candidates, **_attributes(attributes))


def advance_rollout(**attributes: Any) -> AdvanceRollout:
    return AdvanceRollout(**_attributes(attributes))


def pause_rollout(**attributes: Any) -> PauseRollout:
    return PauseRollout(**_attributes(attributes))


def resume_rollout(**attributes: Any) -> ResumeRollout:
    return ResumeRollout(**_attributes(attributes))


def promote_rollout(**attributes: Any) -> PromoteRollout:
    return PromoteRollout(**_attributes(attributes))


def abort_rollout(**attributes: Any) -> AbortRollout:
    return AbortRollout(**_attributes(attributes))


def change_strategy(strategy: Strategy, *candidates: str, **attributes: Any) -> ChangeStrategy:
    return ChangeStrategy(strategy=strategy, candidates=candidates, **_attributes(attributes))


def record_analysis(outcome: Any = "successful", watermark: int = 1, **attributes: Any) -> RecordAnalysis:
    return RecordAnalysis(outcome=outcome, watermark=watermark, **_attributes(attributes))


def set_validation_policy(policy: ValidationPolicy, **attributes: Any) -> SetValidationPolicy:
    return SetValidationPolicy(policy=policy, **_attributes(attributes))


def delete_artifact(model_version: str, **attributes: Any) -> DeleteArtifact:
    return DeleteArtifact(model_version=model_version, **_attributes(attributes))


def rollout_started(
    strategy: Strategy = CANARY, *candidates: str, rollout_id: str = "r1", baseline: str = "v1", **fields: Any
) -> RolloutStarted:
    """As a decision without further wishes makes it: v2 against v1."""
    defaults = {"salt": f"{MODEL}/{rollout_id}", "policy": POLICY}
    return RolloutStarted(
        rollout_id=rollout_id,
        strategy=strategy,
        baseline_version=baseline,
        candidates=candidates or ("v2",),
        **{**defaults, **fields},
    )


def strategy_changed(strategy: Strategy, *candidates: str, **fields: Any) -> RolloutStrategyChanged:
    defaults = {"rollout_id": "r1", "policy": POLICY}
    return RolloutStrategyChanged(strategy=strategy, candidates=candidates or ("v2",), **{**defaults, **fields})


def weights_set(rollout_id: str = "r1", **weights: int) -> RolloutWeightsSet:
    return RolloutWeightsSet(rollout_id=rollout_id, arms=arms(**weights))


def step_entered(step_index: int, rollout_id: str = "r1") -> RolloutStepEntered:
    return RolloutStepEntered(rollout_id=rollout_id, step_index=step_index)


def rollout_paused(cause: Any = "operator", rollout_id: str = "r1") -> RolloutPaused:
    return RolloutPaused(rollout_id=rollout_id, cause=cause)


def rollout_resumed(rollout_id: str = "r1") -> RolloutResumed:
    return RolloutResumed(rollout_id=rollout_id)


def analysis_recorded(outcome: Any = "successful", watermark: int = 1, **fields: Any) -> RolloutAnalysisRecorded:
    return RolloutAnalysisRecorded(outcome=outcome, watermark=watermark, **{"rollout_id": "r1", **fields})


def completed(outcome: Any = "aborted", **fields: Any) -> RolloutCompleted:
    return RolloutCompleted(outcome=outcome, **{"rollout_id": "r1", **fields})


def bake_ended(outcome: Any = "kept", **fields: Any) -> RolloutBakeEnded:
    return RolloutBakeEnded(outcome=outcome, **{"rollout_id": "r1", **fields})


GATED = ValidationPolicy(
    gates=(
        FigureGate(figure="macro_f1", margin=0.05),
        FigureGate(figure="latency_ms_p95", better="lower", threshold=50.0, otherwise="inconclusive"),
        FigureGate(figure="agreement", threshold=0.8),
    )
)


def validation_policy_set(policy: ValidationPolicy = GATED) -> ValidationPolicySet:
    return ValidationPolicySet(policy=policy)


def artifact_deleted(model_version: str) -> ArtifactDeleted:
    return ArtifactDeleted(model_version=model_version, artifact_digest=artifact_of(model_version).digest)


DESCRIBED: list[tuple[Any, str]] = [
    (rollout_started(), "started rollout r1 of digits: v2 against v1, canary at 5 %"),
    (
        rollout_started(progressive(set_weight(1_250), pause_step(60), analysis(metrics=("latency",))), forced=True),
        "started rollout r1 of digits: v2 against v1, progressive: 12.5 %, pause 60 s, analysis of latency, "
        "past validation",
    ),
    (
        rollout_started(SHADOW, "v2", "v3"),
        "started rollout r1 of digits: v2, v3 against v1, shadow of 25 % of the requests",
    ),
    (strategy_changed(fixed("v1")), "changed the strategy of rollout r1 of digits to fixed on v1"),
    (
        strategy_changed(ab(v1=5_000, v2=5_000)),
        "changed the strategy of rollout r1 of digits to A/B test of v1 50 %, v2 50 %",
    ),
    (
        strategy_changed(fleet(1_000, "worker-1")),
        "changed the strategy of rollout r1 of digits to fleet canary on 10 % of the workers and worker-1",
    ),
    (weights_set(v1=9_500, v2=500), "set the weights of digits: v1 95 %, v2 5 % (rollout r1)"),
    (step_entered(2), "entered step 2 of rollout r1 of digits"),
    (rollout_paused("inconclusive"), "paused rollout r1 of digits (inconclusive)"),
    (rollout_resumed(), "resumed rollout r1 of digits"),
    (
        analysis_recorded("successful", evidence=EVIDENCE, model_version="v2"),
        "recorded the analysis of rollout r1 of digits for v2: successful, "
        "success-rate of v2 successful at 0.995 against 0.994 (1,000)",
    ),
    (analysis_recorded("inconclusive"), "recorded the analysis of rollout r1 of digits: inconclusive"),
    (
        completed("promoted", model_version="v2", bake_seconds=300),
        "completed rollout r1 of digits: promoted, v2; it bakes for 300 s",
    ),
    (completed("superseded"), "completed rollout r1 of digits: superseded"),
    (bake_ended("rolled-back"), "ended rollout r1 of digits in its bake: back to the baseline"),
    (
        validation_policy_set(ValidationPolicy()),
        "set the validation policy of digits: pass_margin 0.05, fail_margin 0.1, first_accuracy_min 0.5",
    ),
    (artifact_deleted("v1"), "deleted the artifact of v1 of digits (sha256:3bfc269594ef)"),
]
"""Each kind of event at least once, and what it is in a few words."""
