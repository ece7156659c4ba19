"""What is due in a rollout, by what was folded: an outcome, a step, the end of a bake. Pure: the time comes in.

A command names the rollout, the step and how far the records were read, so that the same decision is made once,
whatever dies in between and however many decide; its id is a name of what it decides on (see `own_commands`).
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.rollout import AnalysisOutcome, MetricEvidence
from hotswap_events.rollout_commands import AdvanceRollout, RecordAnalysis
from hotswap_events.rollout_strategy import (
    AnalysisStep,
    FixedStrategy,
    MetricName,
    PauseStep,
    ProgressiveStrategy,
    ShadowStrategy,
)
from hotswap_stream.application.rollouts.analysis.figures import SKETCH_METRICS
from hotswap_stream.application.rollouts.analysis.metric_tests import harm_shown, metric_evidence
from hotswap_stream.application.rollouts.analysis.table import (
    CandidateTests,
    RolloutTable,
    baseline_of,
    phase_harm_alpha,
    tests_alpha,
)
from hotswap_stream.domain.reserved import ANALYSIS_ACTOR
from hotswap_stream.domain.state.rollout import RolloutState, seconds_in_phase
from hotswap_stream.domain.statistics.drift import DriftEvidence
from hotswap_stream.domain.statistics.evidence import Evidence
from hotswap_stream.domain.statistics.judgement import Outcome, judge_metric, judge_step

DueCommand = RecordAnalysis | AdvanceRollout


class CandidateVerdict(Struct, frozen=True, kw_only=True):
    """What all metrics of one candidate conclude together."""

    model_version: str
    outcome: Outcome
    evidence: tuple[MetricEvidence, ...]
    lift: float = 0.0
    """Estimate of the first metric: of several that succeed, the highest wins."""


def due(
    model_name: str, rollout: RolloutState, table: RolloutTable, *, now: datetime, read_up_to: int
) -> DueCommand | None:
    """The command that is due, or None. `table` is in step with the rollout.

    `read_up_to` says how far the records had been read; the watermark of a recorded analysis is at least that, and
    above the last one.
    """
    watermark = max(rollout.watermark + 1, read_up_to)
    if rollout.status == "baking":
        return _due_in_bake(model_name, rollout, table, now, watermark)
    verdicts = verdicts_of(rollout, table, budget_used=_budget_used(rollout, table, now))
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


def verdicts_of(
    rollout: RolloutState, table: RolloutTable, *, budget_used: bool = False
) -> tuple[CandidateVerdict, ...]:
    """What each candidate's metrics conclude now; those that the present step does not name only find harm."""
    return tuple(_verdict(rollout, table, tests, budget_used) for tests in table.candidates)


def _verdict(rollout: RolloutState, table: RolloutTable, tests: CandidateTests, budget_used: bool) -> CandidateVerdict:
    step = rollout.step
    named = step.metrics if isinstance(step, AnalysisStep) and step.metrics else None
    policy, name = rollout.policy, tests.model_version
    each_alpha = tests_alpha(policy, len(rollout.candidates))
    harm_alpha = phase_harm_alpha(each_alpha, table.phase_number)
    outcomes: list[Outcome] = []
    shown: list[MetricEvidence] = []
    lift: float | None = None
    # Where the baseline gets nothing any more, the candidate is held to what the baseline did before.
    alone = not isinstance(rollout.strategy, ShadowStrategy) and rollout.arms[0].weight == 0
    for whole, phase in zip(tests.whole, tests.phase, strict=True):
        since_start: Sequence[Evidence | None]
        if alone:
            held_to = baseline_of(whole, table.before)
            phase = replace(phase, baseline=held_to, baseline_values=whole.baseline_values)
            evidences = phase.bake_evidences()
            # Later phases look for harm by an alpha of their own; the first one has that of the whole rollout.
            first = table.phase_number == 1
            since_start = replace(whole, baseline=held_to).bake_evidences() if first else (None,) * len(evidences)
        else:
            evidences, since_start = phase.evidences(), whole.evidences()
        outcome = _metric_outcome(evidences, since_start, policy.answers_min, harm_alpha, budget_used=budget_used)
        failed = outcome == "failed"
        by_phase = failed and any(harm_alpha and harm_shown(evidence, harm_alpha) for evidence in evidences)
        told, told_evidences = (
            (whole, whole.evidences()) if failed and not by_phase and not alone else (phase, evidences)
        )
        shown.append(metric_evidence(told, told_evidences, model_version=name, outcome=_word(outcome)))
        if lift is None and evidences:
            lift = evidences[0].estimate
        if failed or named is None or whole.rule.metric in named:
            outcomes.append(outcome)
    for rule in policy.metrics:
        if rule.metric not in SKETCH_METRICS:
            continue
        evidence = tests.drifts.get(rule.metric)
        outcome = _drift_outcome(evidence, policy.answers_min, budget_used=budget_used)
        shown.append(_drift_evidence(rule.metric, name, evidence, outcome, rule.threshold))
        if outcome == "failed" or named is None or rule.metric in named:
            outcomes.append(outcome)
    judged = judge_step(outcomes) if outcomes else "running"
    return CandidateVerdict(model_version=name, outcome=judged, evidence=tuple(shown), lift=lift or 0.0)


def _metric_outcome(
    phase: Sequence[Evidence],
    since_start: Sequence[Evidence | None],
    answers_min: int,
    harm_alpha: float,
    *,
    budget_used: bool,
) -> Outcome:
    """Success is earned in the phase; harm shows since the start, or since the phase began."""
    undecided: Outcome = "inconclusive" if budget_used else "running"
    outcomes: list[Outcome] = [] if phase else [undecided]
    for evidence, whole in zip(phase, since_start, strict=True):
        outcome = judge_metric(evidence, candidate_trials_min=answers_min)
        # By the phase's own alpha harm would be judged once more with each phase.
        if outcome != "successful":
            harm = whole is not None and whole.finds("worse") and not whole.finds("not_worse")
            if harm_alpha and harm_shown(evidence, harm_alpha) and not evidence.finds("not_worse"):
                harm = True
            outcome = "failed" if harm else undecided
        outcomes.append(outcome)
    return judge_step(outcomes)


def _drift_outcome(evidence: DriftEvidence | None, answers_min: int, *, budget_used: bool) -> Outcome:
    if evidence is None:
        return "inconclusive" if budget_used else "running"
    return judge_metric(evidence, candidate_trials_min=answers_min, budget_used=budget_used)


def _due_in_bake(
    model_name: str, rollout: RolloutState, table: RolloutTable, now: datetime, watermark: int
) -> DueCommand | None:
    over = seconds_in_phase(rollout, now) >= rollout.policy.bake_seconds
    name = rollout.promoted_version or ""
    shown: list[MetricEvidence] = []
    failed = False
    for test in table.bake or ():
        evidences = test.bake_evidences()
        harm = any(evidence.finds("worse") for evidence in evidences)
        failed = failed or harm
        outcome: AnalysisOutcome = "failed" if harm else "successful" if over else "inconclusive"
        shown.append(metric_evidence(test, evidences, model_version=name, outcome=outcome))
    if failed:
        return _record(model_name, rollout, "failed", watermark, tuple(shown), name)
    return _record(model_name, rollout, "successful", watermark, tuple(shown), name) if over else None


def _budget_used(rollout: RolloutState, table: RolloutTable, now: datetime) -> bool:
    """Whether the present analysis may spend no more time, or no more answers by any candidate."""
    step = rollout.step
    seconds_max, answers_max = rollout.policy.seconds_max, rollout.policy.answers_max
    if isinstance(step, AnalysisStep):
        seconds_max = step.duration_seconds or seconds_max
        answers_max = step.answers or answers_max
    if rollout.status == "running" and seconds_in_phase(rollout, now) >= seconds_max:
        return True
    if answers_max is None or not table.candidates:
        return False
    return all(tests.phase_answers >= answers_max for tests in table.candidates)


def _drift_evidence(
    metric: MetricName, name: str, evidence: DriftEvidence | None, outcome: Outcome, threshold: float | None
) -> MetricEvidence:
    if evidence is None:
        return MetricEvidence(metric=metric, model_version=name, outcome=_word(outcome), count=0, threshold=threshold)
    return MetricEvidence(
        metric=metric,
        model_version=name,
        outcome=_word(outcome),
        count=evidence.current_count,
        value=evidence.distance,
        baseline_count=evidence.reference_count,
        threshold=threshold,
        figures={"limit": evidence.limit, "look": float(evidence.look), "alpha": evidence.alpha},
    )


def _word(outcome: Outcome) -> AnalysisOutcome:
    """Of a metric that could still show something, when the rollout's outcome was drawn by others."""
    return "inconclusive" if outcome == "running" else outcome


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
    """For people who read the log: what decided."""
    deciding = [entry for entry in evidence if entry.outcome == outcome] or list(evidence)
    told = []
    for entry in deciding[:4]:
        value = "unknown" if entry.value is None else f"{entry.value:.4g}"
        against = "" if entry.baseline_value is None else f" against {entry.baseline_value:.4g}"
        told.append(f"{entry.metric} of {entry.model_version} {value}{against} in {entry.count}")
    return f"{outcome}: {'; '.join(told) or 'no metric has an answer'}"
