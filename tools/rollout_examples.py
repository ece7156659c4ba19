"""Example commands on rollouts, the validation policy and the clean-up: they go on where the model's history ends."""

from collections.abc import Callable, Sequence
from typing import Any

from hotswap_events.commands import (
    AnyCommand,
    ChooseValidationSet,
    DeleteArtifact,
    SetValidationPolicy,
    ValidateVersion,
)
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
from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.strategy import (
    AnalysisStep,
    CanaryStrategy,
    MetricRule,
    PauseStep,
    ProgressiveStrategy,
    RolloutPolicy,
    SetWeightStep,
    ShadowStrategy,
)
from hotswap_events.validation.policy import FigureGate, ValidationPolicy
from hotswap_events.validation.sets import ValidationSet

By = Callable[..., dict[str, Any]]
"""Command id and reason → the fields common to all commands."""

_EVIDENCE = (
    MetricEvidence(
        metric="success-rate",
        model_version="v3",
        outcome="successful",
        count=4_200,
        value=0.998,
        baseline_count=79_800,
        baseline_value=0.997,
        lower=-0.004,
        upper=0.006,
        margin=0.02,
    ),
)

_STEPS = ProgressiveStrategy(
    steps=(
        SetWeightStep(weight=500),
        AnalysisStep(duration_seconds=600),
        SetWeightStep(weight=5_000),
        PauseStep(duration_seconds=3_600),
    )
)


def rollout_commands(by: By, register: Callable[[str, str, str], AnyCommand]) -> Sequence[AnyCommand]:
    """Return commands after a history in which v2 is active. `register` takes command id, version name and digest."""
    return (
        SetValidationPolicy(
            **by(command_id="c-31", reason="phones are slow"),
            policy=ValidationPolicy(gates=(FigureGate(figure="latency_ms_p95", better="lower", threshold=50.0),)),
        ),
        register("c-32", "v3", "sha256:" + "3" * 64),
        ValidateVersion(
            **by(command_id="c-33"),
            model_version="v3",
            validation_set="sha256:" + "d" * 64,
            figures={"accuracy": 0.99, "latency_ms_p95": 12.0},
            baseline_version="v2",
            baseline_figures={"accuracy": 0.98, "latency_ms_p95": 11.0},
        ),
        StartRollout(
            **by(command_id="c-34", reason="first look"),
            strategy=ShadowStrategy(sample_share=2_500),
            candidates=("v3",),
            policy=RolloutPolicy(
                metrics=(
                    MetricRule(metric="success-rate", margin=0.02),
                    MetricRule(metric="latency", threshold=0.05, slow_ms=50.0),
                ),
                bake_seconds=600,
            ),
        ),
        ChangeStrategy(**by(command_id="c-35", reason="agrees with v2"), strategy=_STEPS),
        PauseRollout(**by(command_id="c-36", reason="over lunch"), rollout_id="r1"),
        ResumeRollout(**by(command_id="c-37"), rollout_id="r1"),
        RecordAnalysis(
            **by(command_id="r1:1:84000"),
            rollout_id="r1",
            step_index=1,
            outcome="successful",
            watermark=84_000,
            evidence=_EVIDENCE,
        ),
        AdvanceRollout(**by(command_id="c-38", reason="convinced"), rollout_id="r1", step_index=3),
        PromoteRollout(**by(command_id="c-39", reason="nothing to see"), rollout_id="r1"),
        register("c-40", "v4", "sha256:" + "4" * 64),
        StartRollout(**by(command_id="c-41"), strategy=CanaryStrategy(weight=500), candidates=("v4",), forced=True),
        AbortRollout(**by(command_id="c-42", reason="wrong data"), rollout_id="r2", archive=True),
        DeleteArtifact(**by(command_id="c-43", reason="beyond the newest"), model_version="v4"),
        register("c-44", "v5", "sha256:" + "5" * 64),
        StartRollout(
            **by(command_id="c-45", reason="how would it answer?"),
            strategy=ShadowStrategy(),
            candidates=("v5",),
        ),
        ChooseValidationSet(
            **by(command_id="c-46", reason="labelled by hand in May"),
            validation_set=ValidationSet(
                artifact_digest="sha256:" + "d" * 64,
                size_bytes=1_411_072,
                kind="classification",
                rows=449,
                source="labelled-in-may.npz",
            ),
        ),
    )
