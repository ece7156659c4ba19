"""What is due in a rollout, by what was folded: an outcome, a step, the end of a bake. Pure: the time comes in.

A command names the rollout, the step and how far the records were read, so that the same decision is made once,
whatever dies in between and however many decide; its id is a name of what it decides on (see `own_commands`).
"""

from datetime import datetime

from hotswap_events.rollouts.commands import AdvanceRollout, RecordAnalysis
from hotswap_events.rollouts.events import AnalysisOutcome, MetricEvidence
from hotswap_events.rollouts.strategy import AnalysisStep, FixedStrategy, PauseStep, ProgressiveStrategy
from hotswap_stream.application.rollouts.analysis.budget import budget_of
from hotswap_stream.application.rollouts.analysis.table import RolloutTable
from hotswap_stream.application.rollouts.analysis.verdicts import judge_bake, verdicts_of
from hotswap_stream.domain.reserved import ANALYSIS_ACTOR
from hotswap_stream.domain.state.rollout import RolloutState, seconds_in_phase

DueCommand = RecordAnalysis | AdvanceRollout


def due(
    model_name: str, rollout: RolloutState, table: RolloutTable, *, now: datetime, read_up_to: int
) -> DueCommand | None:
    """Return the command that is due, or None.

    Args:
        model_name: The model of the rollout.
        rollout: The rollout as it is now.
        table: What was folded of it, in step with it.
        now: The time that has come, by the clock of the records.
        read_up_to: How far the records had been read; the watermark of a recorded analysis is at least that, and above
            the last one.
    """
    watermark = max(rollout.watermark + 1, read_up_to)
    if rollout.status == "baking":
        return _due_in_bake(model_name, rollout, table, now, watermark)
    verdicts = verdicts_of(rollout, table, budget_used=budget_of(rollout, table, now).used)
    for verdict in verdicts:
        if verdict.outcome == "failed":
            return _record(model_name, rollout, "failed", watermark, verdict.evidence, verdict.model_version)
    if rollout.status == "paused":
        return None
    step = rollout.step
    if isinstance(step, PauseStep):
        if step.duration_seconds is None or seconds_in_phase(rollout, now) < step.duration_seconds:
            return None
        return _advance(model_name, rollout)
    analysed = isinstance(step, AnalysisStep) or not isinstance(rollout.strategy, ProgressiveStrategy | FixedStrategy)
    if not analysed or not rollout.policy.metrics or not verdicts:
        return None
    if any(verdict.outcome == "running" for verdict in verdicts):
        return None
    successful = [verdict for verdict in verdicts if verdict.outcome == "successful"]
    if successful:
        winner = max(successful, key=lambda verdict: verdict.lift)
        return _record(model_name, rollout, "successful", watermark, winner.evidence, winner.model_version)
    evidence = tuple(entry for verdict in verdicts for entry in verdict.evidence)[:32]
    # Going on all the same needs a candidate; else it is about all of them.
    proceeds = rollout.policy.on_inconclusive == "proceed"
    best = max(verdicts, key=lambda verdict: verdict.lift).model_version if proceeds else None
    return _record(model_name, rollout, "inconclusive", watermark, evidence, best)


def _due_in_bake(
    model_name: str, rollout: RolloutState, table: RolloutTable, now: datetime, watermark: int
) -> DueCommand | None:
    over = seconds_in_phase(rollout, now) >= rollout.policy.bake_seconds
    name = rollout.promoted_version or ""
    verdicts = [judge_bake(name, test, over=over) for test in table.bake or ()]
    shown = tuple(each.evidence for each in verdicts)
    if any(each.outcome == "failed" for each in verdicts):
        return _record(model_name, rollout, "failed", watermark, shown, name)
    return _record(model_name, rollout, "successful", watermark, shown, name) if over else None


def _record(
    model_name: str,
    rollout: RolloutState,
    outcome: AnalysisOutcome,
    watermark: int,
    evidence: tuple[MetricEvidence, ...],
    model_version: str | None,
) -> RecordAnalysis:
    step = rollout.step_index if rollout.status != "baking" else None
    place = "bake" if rollout.status == "baking" else "all" if step is None else str(step)
    return RecordAnalysis(
        command_id=f"analysis/{rollout.rollout_id}/{place}/{outcome}/{watermark}",
        actor=ANALYSIS_ACTOR,
        model_name=model_name,
        reason=_reason(outcome, evidence),
        rollout_id=rollout.rollout_id,
        step_index=step,
        outcome=outcome,
        watermark=watermark,
        evidence=evidence,
        model_version=model_version,
    )


def _advance(model_name: str, rollout: RolloutState) -> AdvanceRollout:
    began_ms = round(rollout.phase_started_at.timestamp() * 1000)
    return AdvanceRollout(
        command_id=f"analysis/{rollout.rollout_id}/{rollout.step_index}/pause-over/{began_ms}",
        actor=ANALYSIS_ACTOR,
        model_name=model_name,
        reason="the pause is over",
        rollout_id=rollout.rollout_id,
        step_index=rollout.step_index,
    )


def _reason(outcome: AnalysisOutcome, evidence: tuple[MetricEvidence, ...]) -> str:
    """Return what decided, for people who read the log."""
    deciding = [entry for entry in evidence if entry.outcome == outcome] or list(evidence)
    told = []
    for entry in deciding[:4]:
        value = "unknown" if entry.value is None else f"{entry.value:.4g}"
        against = "" if entry.baseline_value is None else f" against {entry.baseline_value:.4g}"
        told.append(f"{entry.metric} of {entry.model_version} {value}{against} in {entry.count}")
    return f"{outcome}: {'; '.join(told) or 'no metric has an answer'}"
