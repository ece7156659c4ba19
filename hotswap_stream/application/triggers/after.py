"""What becomes of a version that a run made and that passed validation: from the log alone, once per run."""

from collections.abc import Iterator
from typing import Any

from hotswap_events.commands import AnyCommand, PromoteVersion, StageVersion
from hotswap_events.rollouts.commands import StartRollout
from hotswap_events.rollouts.strategy import CanaryStrategy, MetricRule, RolloutPolicy, ShadowStrategy
from hotswap_events.training.events import AfterRollout, TrainingRequested
from hotswap_stream.application.descriptions.training import after_text
from hotswap_stream.application.triggers.ids import after_id
from hotswap_stream.domain.reserved import TRAINING_ACTOR
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.runs import RunState

CANARY_WEIGHT = 1_000
SHADOW_POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="success-rate", margin=0.02),),
    promote_after_shadow=True,
    promote_on_operational=True,
)
"""The margins of the validation have passed it; what is left to see is that it answers live requests."""
CANARY_POLICY = RolloutPolicy(
    metrics=(MetricRule(metric="success-rate", margin=0.02),), bake_seconds=600, promote_on_operational=True
)


def after_training(state: ModelState) -> AnyCommand | None:
    """Return what is to be done now with the newest version that passed and waits for it, or None.

    Nothing is done with a version that somebody has staged, promoted or archived meanwhile, nor while a rollout goes
    on.
    """
    for run, request in _succeeded(state):
        version = None if run.model_version is None else state.versions.get(run.model_version)
        verdict = None if version is None or version.validation is None else version.validation.verdict
        if version is None or version.stage != "none" or verdict != "passed" or version.was_in_production:
            continue
        command_id = after_id(state.model_name, run.run_id)
        if command_id in state.command_ids:
            continue
        fields: dict[str, Any] = {
            "command_id": command_id,
            "actor": TRAINING_ACTOR,
            "model_name": state.model_name,
            "correlation_id": run.run_id,
            "reason": f"training run {run.run_id} asked for {after_text(request.after)}",
        }
        return _command(state, version.model_version, request, fields)
    return None


def _succeeded(state: ModelState) -> Iterator[tuple[RunState, TrainingRequested]]:
    for run in reversed(state.runs.values()):
        if run.status == "succeeded" and run.request is not None and run.request.after != "nothing":
            yield run, run.request


def _command(
    state: ModelState, model_version: str, request: TrainingRequested, fields: dict[str, Any]
) -> AnyCommand | None:
    after = request.after
    if after == "ask":
        return StageVersion(model_version=model_version, **fields)
    if state.active_version is None:
        return PromoteVersion(model_version=model_version, **fields)
    if state.rollout is not None and state.rollout.status != "baking":
        return None
    candidates = (model_version,)
    if isinstance(after, AfterRollout):
        return StartRollout(strategy=after.strategy, policy=after.policy, candidates=candidates, **fields)
    if after == "canary":
        strategy = CanaryStrategy(weight=CANARY_WEIGHT)
        return StartRollout(strategy=strategy, policy=CANARY_POLICY, candidates=candidates, **fields)
    return StartRollout(strategy=ShadowStrategy(), policy=SHADOW_POLICY, candidates=candidates, **fields)
