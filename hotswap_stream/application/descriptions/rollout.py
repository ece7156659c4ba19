"""Events of rollouts in a few words for people."""

from collections.abc import Callable
from typing import Any

from hotswap_events.rollouts.events import (
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
    ProgressiveStrategy,
    RolloutStep,
    SetWeightStep,
    ShadowStrategy,
    Strategy,
)

_BAKE_ENDS = {
    "kept": "after its bake: the version stays",
    "rolled-back": "in its bake: back to the baseline",
    "superseded": "in its bake: changed by hand",
}


def percent(weight: int) -> str:
    """Return `5 %` for `500`; weights are in 1/10,000."""
    return f"{weight / 100:g} %"


def describe_strategy(strategy: Strategy) -> str:
    """Return `canary at 5 %`, `progressive: 5 %, analysis, 50 %, pause`."""
    match strategy:
        case FixedStrategy():
            return f"fixed on {strategy.model_version}"
        case ShadowStrategy():
            return f"shadow of {percent(strategy.sample_share)} of the requests"
        case CanaryStrategy():
            return f"canary at {percent(strategy.weight)}"
        case AbStrategy():
            return f"A/B test of {describe_arms(strategy.arms)}"
        case ProgressiveStrategy():
            return f"progressive: {', '.join(map(describe_step, strategy.steps))}"
        case FleetStrategy():
            parts = [f"{percent(strategy.share)} of the workers"] if strategy.share else []
            return f"fleet canary on {' and '.join([*parts, *strategy.workers])}"


def describe_step(step: RolloutStep) -> str:
    """Return `5 %`, `pause 60 s`, `pause until resumed`, `analysis`."""
    if isinstance(step, SetWeightStep):
        return percent(step.weight)
    if isinstance(step, AnalysisStep):
        return f"analysis of {', '.join(step.metrics)}" if step.metrics else "analysis"
    return "pause until resumed" if step.duration_seconds is None else f"pause {step.duration_seconds} s"


def describe_arms(arms: tuple[Arm, ...]) -> str:
    """Return `v1 95 %, v2 5 %`."""
    return ", ".join(f"{arm.model_version} {percent(arm.weight)}" for arm in arms)


def _started(data: RolloutStarted, model: str) -> str:
    tried = ", ".join(data.candidates)
    forced = ", past validation" if data.forced else ""
    strategy = describe_strategy(data.strategy)
    return f"started rollout {data.rollout_id} of {model}: {tried} against {data.baseline_version}, {strategy}{forced}"


def _changed(data: RolloutStrategyChanged, model: str) -> str:
    return f"changed the strategy of rollout {data.rollout_id} of {model} to {describe_strategy(data.strategy)}"


def _weights(data: RolloutWeightsSet, model: str) -> str:
    return f"set the weights of {model}: {describe_arms(data.arms)} (rollout {data.rollout_id})"


def _step(data: RolloutStepEntered, model: str) -> str:
    return f"entered step {data.step_index} of rollout {data.rollout_id} of {model}"


def _paused(data: RolloutPaused, model: str) -> str:
    return f"paused rollout {data.rollout_id} of {model} ({data.cause})"


def _resumed(data: RolloutResumed, model: str) -> str:
    return f"resumed rollout {data.rollout_id} of {model}"


def _analysis(data: RolloutAnalysisRecorded, model: str) -> str:
    found = "; ".join(
        f"{entry.metric} of {entry.model_version} {entry.outcome}"
        + ("" if entry.value is None else f" at {entry.value:.4g}")
        + ("" if entry.baseline_value is None else f" against {entry.baseline_value:.4g}")
        + f" ({entry.count:,})"
        for entry in data.evidence
    )
    about = f" for {data.model_version}" if data.model_version else ""
    return f"recorded the analysis of rollout {data.rollout_id} of {model}{about}: {data.outcome}" + (
        f", {found}" if found else ""
    )


def _completed(data: RolloutCompleted, model: str) -> str:
    version = f", {data.model_version}" if data.model_version else ""
    bake = f"; it bakes for {data.bake_seconds} s" if data.bake_seconds else ""
    return f"completed rollout {data.rollout_id} of {model}: {data.outcome}{version}{bake}"


def _bake_ended(data: RolloutBakeEnded, model: str) -> str:
    return f"ended rollout {data.rollout_id} of {model} {_BAKE_ENDS[data.outcome]}"


ROLLOUT_DESCRIPTIONS: dict[type, Callable[[Any, str], str]] = {
    RolloutStarted: _started,
    RolloutStrategyChanged: _changed,
    RolloutWeightsSet: _weights,
    RolloutStepEntered: _step,
    RolloutPaused: _paused,
    RolloutResumed: _resumed,
    RolloutAnalysisRecorded: _analysis,
    RolloutCompleted: _completed,
    RolloutBakeEnded: _bake_ended,
}
