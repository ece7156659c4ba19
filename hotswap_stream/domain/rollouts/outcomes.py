"""What follows from the outcome of an analysis: the next step, the promotion, the abort, the rollback, or a person."""

from msgspec.structs import replace

from hotswap_events.commands import Refusal
from hotswap_events.registry.events import ModelPromoted, RegistryEvent
from hotswap_events.rollouts.commands import RecordAnalysis
from hotswap_events.rollouts.events import RolloutAnalysisRecorded, RolloutBakeEnded, RolloutPaused
from hotswap_events.rollouts.strategy import AnalysisStep, ProgressiveStrategy
from hotswap_stream.domain.deciding.decision import Accepted, Decision, invalid
from hotswap_stream.domain.rollouts.limits import wrong_evidence
from hotswap_stream.domain.rollouts.plan import Events, aborting, moves_from, rolling_back, success
from hotswap_stream.domain.rollouts.refusals import current_rollout, not_now
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import RolloutState


def record_analysis(state: ModelState, command: RecordAnalysis) -> Decision:
    """Record an outcome and do what the policy says. Harm ends a rollout in every step, even while it is paused."""
    rollout = current_rollout(state, command)
    if isinstance(rollout, Refusal):
        return rollout
    if command.watermark <= rollout.watermark:
        return Accepted((), f"evidence up to watermark {rollout.watermark} was recorded before")
    if wrong := wrong_evidence(command.evidence) or _wrong_version(rollout, command):
        return invalid(wrong)
    if command.outcome != "failed":
        if rollout.status == "paused":
            return not_now(state, rollout, "is paused; only harm is recorded meanwhile")
        progressive = isinstance(rollout.strategy, ProgressiveStrategy)
        if rollout.status == "running" and progressive and not isinstance(rollout.step, AnalysisStep):
            return not_now(state, rollout, "is at a step without analysis; only harm is recorded there")
    recorded = RolloutAnalysisRecorded(
        rollout_id=rollout.rollout_id,
        outcome=command.outcome,
        watermark=command.watermark,
        step_index=rollout.step_index,
        evidence=command.evidence,
        model_version=command.model_version,
    )
    return Accepted((recorded, *(_approved(event, rollout, command) for event in _following(state, rollout, command))))


def _approved(event: RegistryEvent, rollout: RolloutState, command: RecordAnalysis) -> RegistryEvent:
    """Return the event; a promotion that nobody asked for now says who let it happen, and why."""
    if not isinstance(event, ModelPromoted) or command.actor == rollout.asked_by:
        return event
    return replace(event, approved_by=rollout.asked_by or None, approved_reason=rollout.asked_reason)


def _wrong_version(rollout: RolloutState, command: RecordAnalysis) -> str | None:
    name = command.model_version
    if name is not None and name not in rollout.candidates:
        return f"{name!r} is no candidate of rollout {rollout.rollout_id!r}; it has {', '.join(rollout.candidates)}"
    promotes = command.outcome == "successful" or (
        command.outcome == "inconclusive" and rollout.policy.on_inconclusive == "proceed"
    )
    if name is None and promotes and len(rollout.candidates) > 1 and rollout.status != "baking":
        return f"success of which candidate? name one of {', '.join(rollout.candidates)}"
    return None


def _following(state: ModelState, rollout: RolloutState, command: RecordAnalysis) -> Events:
    outcome = command.outcome
    if rollout.status == "baking":
        if outcome == "failed":
            return rolling_back(state, rollout, command.evidence)
        kept = RolloutBakeEnded(rollout_id=rollout.rollout_id, outcome="kept", evidence=command.evidence)
        return (kept,) if outcome == "successful" else ()
    if outcome == "inconclusive":
        if rollout.policy.on_inconclusive == "pause":
            return (RolloutPaused(rollout_id=rollout.rollout_id, cause="inconclusive"),)
        outcome = "successful" if rollout.policy.on_inconclusive == "proceed" else "failed"
    if outcome == "failed":
        archive = rollout.policy.auto_archive
        return aborting(rollout, command.evidence, archive=archive, only=command.model_version)
    if isinstance(rollout.strategy, ProgressiveStrategy) and rollout.step_index is not None:
        return moves_from(state, rollout, rollout.step_index + 1, command.evidence)
    return success(state, rollout, command.model_version or rollout.candidates[0], command.evidence)
