"""What the metrics of each candidate conclude, by the tests folded so far. Pure.

Success is earned in the present phase. Harm shows since the rollout's start, or since the phase began: the first by
the larger part of alpha, the second by what is left of it (`alpha_shares`).
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.rollouts.events import AnalysisOutcome, MetricEvidence
from hotswap_events.rollouts.strategy import AnalysisStep, MetricName, MetricRule, ShadowStrategy
from hotswap_stream.application.rollouts.analysis.alpha_shares import phase_harm_alpha, tests_alpha
from hotswap_stream.application.rollouts.analysis.figures import SKETCH_METRICS
from hotswap_stream.application.rollouts.analysis.intervals import IntervalShown, drift_shown, interval_shown
from hotswap_stream.application.rollouts.analysis.metric_tests import MetricTest, harm_shown, metric_evidence
from hotswap_stream.application.rollouts.analysis.phases import baseline_of
from hotswap_stream.application.rollouts.analysis.table import CandidateTests, RolloutTable
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.drift import DriftEvidence
from hotswap_stream.domain.statistics.evidence import Evidence
from hotswap_stream.domain.statistics.judgement import Outcome, judge_metric, judge_step
from hotswap_stream.domain.statistics.samples import Counts


class CandidateVerdict(Struct, frozen=True, kw_only=True):
    """What all metrics of one candidate conclude together."""

    model_version: str
    outcome: Outcome
    metrics: "tuple[MetricVerdict, ...]"
    lift: float = 0.0
    """Estimate of the first metric: of several that succeed, the highest wins."""
    answers: int = 0
    """Answers of the candidate in the present phase."""

    @property
    def evidence(self) -> tuple[MetricEvidence, ...]:
        """Return what events carry of it."""
        return tuple(each.evidence for each in self.metrics)


class Bars(Struct, frozen=True, kw_only=True):
    """What the metrics of all candidates are held to at one moment of a rollout."""

    answers_min: int
    """Answers of a candidate before it may succeed."""
    harm_alpha: float = 0.0
    """What harm since a later phase began may err by; 0 in the first phase, which has no such test."""
    budget_used: bool = False
    """No more answers and no more time will be spent on this analysis."""
    baseline_silent: bool = False
    """The baseline gets no traffic any more, so a candidate is held to what the baseline did before."""
    before: Counts = Counts()
    """What the baseline answered before the rollout."""
    first_phase: bool = True

    @property
    def undecided(self) -> Outcome:
        """Return what a metric concludes that shows nothing yet."""
        return "inconclusive" if self.budget_used else "running"


class MetricVerdict(Struct, frozen=True, kw_only=True):
    """What one metric of one candidate concludes."""

    metric: MetricName
    outcome: Outcome
    evidence: MetricEvidence
    estimate: float | None = None
    """By how much the candidate is better, in the metric's unit; None for drift, and while nothing was counted."""
    interval: IntervalShown = IntervalShown(compared_with="baseline")
    """What the interval in `evidence` is an interval of."""


def verdicts_of(
    rollout: RolloutState, table: RolloutTable, *, budget_used: bool = False
) -> tuple[CandidateVerdict, ...]:
    """Return what each candidate's metrics conclude now; those that the present step does not name only find harm.

    Args:
        rollout: The rollout, running or paused.
        table: What was folded of it, in step with it.
        budget_used: Whether the present analysis may spend no more time and no more answers.
    """
    bars = _bars(rollout, table, budget_used=budget_used)
    step = rollout.step
    named = step.metrics if isinstance(step, AnalysisStep) and step.metrics else None
    return tuple(_verdict(tests, rollout.policy.metrics, bars, named) for tests in table.candidates)


def judge_test(name: str, whole: MetricTest, phase: MetricTest, bars: Bars) -> MetricVerdict:
    """Return what a metric that is a share or a mean concludes.

    Args:
        name: The candidate's version.
        whole: The metric's test since the rollout began.
        phase: The same test since the present phase began.
        bars: What it is held to.
    """
    phase, evidences, since_start = _compared(whole, phase, bars)
    outcome = _test_outcome(evidences, since_start, bars)
    told, told_evidences = phase, evidences
    if outcome == "failed" and not bars.baseline_silent and not _shows_harm(evidences, bars.harm_alpha):
        told, told_evidences = whole, whole.evidences()
    alone = bars.baseline_silent
    shown = metric_evidence(told, told_evidences, model_version=name, outcome=_word(outcome), alone=alone)
    return MetricVerdict(
        metric=whole.rule.metric,
        outcome=outcome,
        evidence=shown,
        estimate=evidences[0].estimate if evidences else None,
        interval=interval_shown(told, told_evidences, shown, alone=alone),
    )


def judge_bake(name: str, test: MetricTest, *, over: bool) -> MetricVerdict:
    """Return what a metric of a promoted version concludes while it bakes.

    Args:
        name: The promoted version.
        test: What was counted since the promotion, and what the baseline did before it.
        over: Whether the time is over: what shows no harm until then has succeeded.
    """
    evidences = test.bake_evidences()
    harm = any(evidence.finds("worse") for evidence in evidences)
    outcome: AnalysisOutcome = "failed" if harm else "successful" if over else "inconclusive"
    shown = metric_evidence(test, evidences, model_version=name, outcome=outcome, alone=True)
    return MetricVerdict(
        metric=test.rule.metric,
        outcome=outcome,
        evidence=shown,
        interval=interval_shown(test, evidences, shown, alone=True),
    )


def judge_drift(name: str, rule: MetricRule, evidence: DriftEvidence | None, bars: Bars) -> MetricVerdict:
    """Return what a metric of drift concludes; `evidence` is of the last look, None before the first one."""
    if evidence is None:
        outcome, shown = (
            bars.undecided,
            MetricEvidence(
                metric=rule.metric, model_version=name, outcome=_word(bars.undecided), count=0, threshold=rule.threshold
            ),
        )
        return MetricVerdict(metric=rule.metric, outcome=outcome, evidence=shown, interval=drift_shown(evidence))
    outcome = judge_metric(evidence, candidate_trials_min=bars.answers_min, budget_used=bars.budget_used)
    shown = MetricEvidence(
        metric=rule.metric,
        model_version=name,
        outcome=_word(outcome),
        count=evidence.current_count,
        value=evidence.distance,
        baseline_count=evidence.reference_count,
        threshold=rule.threshold,
        figures={"limit": evidence.limit, "look": float(evidence.look), "alpha": evidence.alpha},
    )
    return MetricVerdict(metric=rule.metric, outcome=outcome, evidence=shown, interval=drift_shown(evidence))


def conclude(verdicts: Iterable[MetricVerdict], named: Sequence[MetricName] | None) -> Outcome:
    """Return what the metrics conclude together. Of those not in `named` only harm counts; None names all of them."""
    outcomes = [each.outcome for each in verdicts if each.outcome == "failed" or named is None or each.metric in named]
    return judge_step(outcomes) if outcomes else "running"


def _bars(rollout: RolloutState, table: RolloutTable, *, budget_used: bool) -> Bars:
    alpha = tests_alpha(rollout.policy, len(rollout.candidates))
    return Bars(
        answers_min=rollout.policy.answers_min,
        harm_alpha=phase_harm_alpha(alpha, table.phase_number),
        budget_used=budget_used,
        baseline_silent=not isinstance(rollout.strategy, ShadowStrategy) and rollout.arms[0].weight == 0,
        before=table.before,
        first_phase=table.phase_number == 1,
    )


def _verdict(
    tests: CandidateTests, rules: Iterable[MetricRule], bars: Bars, named: Sequence[MetricName] | None
) -> CandidateVerdict:
    name = tests.model_version
    every = [judge_test(name, whole, phase, bars) for whole, phase in zip(tests.whole, tests.phase, strict=True)]
    every += [
        judge_drift(name, rule, tests.drifts.get(rule.metric), bars) for rule in rules if rule.metric in SKETCH_METRICS
    ]
    return CandidateVerdict(
        model_version=name,
        outcome=conclude(every, named),
        metrics=tuple(every),
        lift=next((each.estimate for each in every if each.estimate is not None), 0.0),
        answers=tests.phase_answers,
    )


def _compared(
    whole: MetricTest, phase: MetricTest, bars: Bars
) -> tuple[MetricTest, tuple[Evidence, ...], tuple[Evidence | None, ...]]:
    """Return the phase's test as it is compared, and what is shown since the phase began and since the start."""
    if not bars.baseline_silent:
        return phase, phase.evidences(), whole.evidences()
    held_to = baseline_of(whole, bars.before)
    phase = replace(phase, baseline=held_to, baseline_values=whole.baseline_values)
    evidences = phase.bake_evidences()
    if bars.first_phase:
        return phase, evidences, replace(whole, baseline=held_to).bake_evidences()
    # Later phases look for harm by an alpha of their own; the first one has that of the whole rollout.
    return phase, evidences, (None,) * len(evidences)


def _test_outcome(phase: Sequence[Evidence], since_start: Sequence[Evidence | None], bars: Bars) -> Outcome:
    """Return what the evidence against the baseline and the one against a threshold conclude together."""
    if not phase:
        return bars.undecided
    return judge_step(_one_outcome(each, whole, bars) for each, whole in zip(phase, since_start, strict=True))


def _one_outcome(phase: Evidence, since_start: Evidence | None, bars: Bars) -> Outcome:
    # By the phase's own alpha harm would be judged once more with each phase, so only success is taken from it.
    if judge_metric(phase, candidate_trials_min=bars.answers_min) == "successful":
        return "successful"
    if since_start is not None and since_start.finds("worse") and not _within_margin(since_start):
        return "failed"
    if _shows_harm((phase,), bars.harm_alpha) and not _within_margin(phase):
        return "failed"
    return bars.undecided


def _within_margin(evidence: Evidence) -> bool:
    """Return whether a harm that is shown is one that the policy gives up."""
    return evidence.finds("not_worse") and not evidence.contradicted


def _shows_harm(evidences: Iterable[Evidence], alpha: float) -> bool:
    """Return whether any evidence shows harm by this alpha; 0 is no test."""
    return alpha > 0 and any(harm_shown(evidence, alpha) for evidence in evidences)


def _word(outcome: Outcome) -> AnalysisOutcome:
    """Return the word for events; a metric that could still show something is "inconclusive" when others decided."""
    return "inconclusive" if outcome == "running" else outcome
