"""What the analysis of a model's rollout has folded so far. Pure: each fold makes a new table, no clock is read.

An observation that is read twice counts once: each run of a worker numbers its records, and the table keeps the highest
number of each run. Tests run twice over: from the rollout's start, so that harm adds up over all its steps, and from
the start of the present phase (a step, a resumption), so that each analysis step is earned anew.
"""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from hotswap_events.observation import Observation
from hotswap_events.rollout_strategy import MetricRule, RolloutPolicy, ShadowStrategy
from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.application.rollouts.analysis.figures import (
    SKETCH_METRICS,
    JudgedAnswer,
    VersionFigures,
    counts_for,
    failures_in,
    judged_counts,
    judged_rewards,
)
from hotswap_stream.application.rollouts.analysis.metric_tests import MetricTest, Side, metric_test
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.drift import DriftEvidence, drift, largest_distance, looks_due
from hotswap_stream.domain.statistics.judgement import alpha_per_metric
from hotswap_stream.domain.statistics.samples import Counts

HARM_OF_ALL = 0.8
"""Part of alpha for harm since the start; the rest is for harm that only shows since a later phase began."""
BEFORE_TRIALS_MAX = 1_000
"""What the baseline did before a rollout counts as at most so many answers."""
VERSIONS_BEFORE_MAX = 8


class CandidateTests(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tests of one candidate, in the order of the policy's metrics, those for drift left out."""

    model_version: str
    whole: tuple[MetricTest, ...]
    phase: tuple[MetricTest, ...]
    phase_answers: int = 0
    """Answers and failures of the candidate in this phase: what a budget of answers is spent by."""
    drifts: dict[str, DriftEvidence] = {}


class RolloutTable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rollout while it runs, is paused, or bakes."""

    rollout_id: str
    policy: RolloutPolicy
    phase_started_at: datetime
    phase_number: int = 1
    figures: dict[str, VersionFigures] = {}
    candidates: tuple[CandidateTests, ...] = ()
    before: Counts = Counts()
    """What the baseline answered before the rollout: a version is held to it where the baseline gets no traffic."""
    bake: tuple[MetricTest, ...] | None = None
    """The promoted version's tests since the promotion, against what the baseline did before it."""


class ModelTable(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of one model between two records."""

    rollout: RolloutTable | None = None
    before: dict[str, Counts] = {}
    """What each version answered without a rollout, lately."""


def in_step_with(table: ModelTable, rollout: RolloutState | None) -> ModelTable:
    """The table for the rollout that is on: a new one, another policy, a new phase, a bake."""
    known = table.rollout
    if rollout is None:
        return table if known is None else replace(table, rollout=None)
    if known is None or known.rollout_id != rollout.rollout_id:
        known = _fresh(table, rollout, {})
    elif known.bake is None and rollout.status == "baking":
        known = replace(known, bake=_bake_tests(known, rollout), phase_started_at=rollout.phase_started_at)
    elif known.policy != rollout.policy or rollout.candidates != tuple(c.model_version for c in known.candidates):
        known = _fresh(table, rollout, known.figures)
    elif known.bake is None and known.phase_started_at != rollout.phase_started_at:
        known = _next_phase(table, known, rollout)
    return table if known is table.rollout else replace(table, rollout=known)


def fold_observation(table: ModelTable, rollout: RolloutState | None, record: Observation) -> ModelTable:
    """The table with one observation more, in step with the rollout. ValueError where a sketch cannot be read."""
    table = in_step_with(table, rollout)
    known = table.rollout
    if record.model_version is None:
        return table
    if rollout is None or known is None:
        return _with_before(table, record.model_version, record)
    if rollout.status == "baking":
        if record.role != "primary" or record.model_version != rollout.promoted_version or known.bake is None:
            return table
        if record.since < known.phase_started_at:
            return table
        bake = tuple(_counted(test, "candidate", record) for test in known.bake)
        return replace(table, rollout=replace(known, bake=bake))
    if record.rollout_id != rollout.rollout_id or not _counts_here(rollout, record):
        return table
    name = record.model_version
    if name not in (rollout.baseline_version, *rollout.candidates):
        return table
    sketches = tuple(SKETCH_METRICS[rule.metric] for rule in rollout.policy.metrics if rule.metric in SKETCH_METRICS)
    figures = {
        **known.figures,
        name: known.figures.get(name, VersionFigures()).with_observation(record, sketches),
    }
    in_phase = record.since >= known.phase_started_at
    candidates = tuple(
        _observed(tests, rollout, record, in_phase=in_phase, figures=figures) for tests in known.candidates
    )
    return replace(table, rollout=replace(known, figures=figures, candidates=candidates))


def fold_judged(table: ModelTable, rollout: RolloutState | None, judged: JudgedAnswer) -> ModelTable:
    """The table with what turned out about one answer."""
    table = in_step_with(table, rollout)
    known = table.rollout
    if rollout is None or known is None:
        return table
    if rollout.status == "baking" and known.bake is not None:
        of_bake = judged.model_version == rollout.promoted_version and judged.answered_at >= known.phase_started_at
        if of_bake:
            bake = tuple(_judged(test, "candidate", judged) for test in known.bake)
            return replace(table, rollout=replace(known, bake=bake))
        return table
    if judged.rollout_id is not None and judged.rollout_id != rollout.rollout_id:
        return table
    if judged.answered_at < rollout.started_at:
        return table
    name = judged.model_version
    if name not in (rollout.baseline_version, *rollout.candidates):
        return table
    figures = {**known.figures, name: known.figures.get(name, VersionFigures()).with_judged(judged)}
    in_phase = judged.answered_at >= known.phase_started_at
    candidates = []
    for tests in known.candidates:
        side = _side(tests, rollout, name)
        if side is not None:
            whole = tuple(_judged(test, side, judged) for test in tests.whole)
            phase = tuple(_judged(test, side, judged) for test in tests.phase) if in_phase else tests.phase
            tests = replace(tests, whole=whole, phase=phase)
        candidates.append(tests)
    return replace(table, rollout=replace(known, figures=figures, candidates=tuple(candidates)))


def tests_alpha(policy: RolloutPolicy, candidates: int) -> float:
    """What each test of a policy may err by, so that all together err by its alpha."""
    count = sum((rule.margin is not None) + (rule.threshold is not None) for rule in policy.metrics)
    return alpha_per_metric(policy.alpha, max(1, count) * max(1, candidates))


def phase_harm_alpha(alpha: float, phase_number: int) -> float:
    """What harm that only shows since phase 2, 3 … began may err by: the parts add up to what harm of all leaves."""
    return alpha * (1 - HARM_OF_ALL) / ((phase_number - 1) * phase_number) if phase_number > 1 else 0.0


def _fresh(table: ModelTable, rollout: RolloutState, figures: dict[str, VersionFigures]) -> RolloutTable:
    alpha = tests_alpha(rollout.policy, len(rollout.candidates))
    before = table.before.get(rollout.baseline_version)
    fresh = RolloutTable(
        rollout_id=rollout.rollout_id,
        policy=rollout.policy,
        phase_started_at=rollout.phase_started_at,
        figures=figures,
        before=before or Counts(),
        candidates=tuple(
            CandidateTests(
                model_version=name,
                whole=_tests(rollout.policy, alpha * HARM_OF_ALL, before),
                phase=_tests(rollout.policy, alpha, before),
            )
            for name in rollout.candidates
        ),
    )
    if rollout.status != "baking":
        return fresh
    return replace(fresh, bake=_bake_tests(fresh, rollout))


def _tests(policy: RolloutPolicy, alpha: float, before: Counts | None) -> tuple[MetricTest, ...]:
    return tuple(
        metric_test(rule, alpha, before if rule.metric == "success-rate" else None)
        for rule in policy.metrics
        if rule.metric not in SKETCH_METRICS
    )


def _next_phase(table: ModelTable, known: RolloutTable, rollout: RolloutState) -> RolloutTable:
    """The tests of the phase begin anew; what the baseline did until now makes them quick."""
    alpha = tests_alpha(rollout.policy, len(rollout.candidates))
    figures = known.figures.get(rollout.baseline_version, VersionFigures())
    before = _capped(figures.outcomes) if figures.outcomes.trials else table.before.get(rollout.baseline_version)
    return replace(
        known,
        phase_started_at=rollout.phase_started_at,
        phase_number=known.phase_number + 1,
        candidates=tuple(
            replace(tests, phase=_tests(rollout.policy, alpha, before), phase_answers=0) for tests in known.candidates
        ),
    )


def _bake_tests(known: RolloutTable, rollout: RolloutState) -> tuple[MetricTest, ...]:
    alpha = tests_alpha(rollout.policy, 1)
    promoted = [tests for tests in known.candidates if tests.model_version == rollout.promoted_version]
    return tuple(
        MetricTest(
            rule=test.rule,
            alpha=alpha,
            baseline=baseline_of(test, known.before),
            baseline_values=test.baseline_values,
        )
        for tests in promoted
        for test in tests.whole
    )


def baseline_of(test: MetricTest, before: Counts) -> Counts:
    """What a version without a baseline beside it is held to: what the baseline did in the rollout, or where more is
    known of that, before it."""
    known_before = test.rule.metric == "success-rate" and before.trials > test.baseline.trials
    return before if known_before else test.baseline


def _counts_here(rollout: RolloutState, record: Observation) -> bool:
    """Whether the record is of an arm of the split; of a shadow in a shadow rollout."""
    shadowed = isinstance(rollout.strategy, ShadowStrategy) and record.model_version in rollout.candidates
    return record.role == ("shadow" if shadowed else "primary")


def _side(tests: CandidateTests, rollout: RolloutState, name: str) -> Side | None:
    if name == tests.model_version:
        return "candidate"
    return "baseline" if name == rollout.baseline_version else None


def _observed(
    tests: CandidateTests,
    rollout: RolloutState,
    record: Observation,
    *,
    in_phase: bool,
    figures: dict[str, VersionFigures],
) -> CandidateTests:
    side = _side(tests, rollout, record.model_version or "")
    if side is None:
        return tests
    whole = tuple(_counted(test, side, record) for test in tests.whole)
    phase = tuple(_counted(test, side, record) for test in tests.phase) if in_phase else tests.phase
    answers = tests.phase_answers
    if in_phase and side == "candidate":
        answers += record.answers + failures_in(record)
    drifts = _drifts(tests, rollout, figures) if side == "candidate" else tests.drifts
    return replace(tests, whole=whole, phase=phase, phase_answers=answers, drifts=drifts)


def _counted(test: MetricTest, side: Side, record: Observation) -> MetricTest:
    counts = counts_for(test.rule, record)
    return test if counts is None or not counts.trials else test.with_counts(side, counts)


def _judged(test: MetricTest, side: Side, judged: JudgedAnswer) -> MetricTest:
    if test.rule.metric == "accuracy" and judged.correct is not None:
        return test.with_counts(side, judged_counts(judged))
    if test.rule.metric == "reward" and judged.reward is not None:
        return test.with_values(side, judged_rewards(judged))
    return test


def _drifts(
    tests: CandidateTests, rollout: RolloutState, figures: dict[str, VersionFigures]
) -> dict[str, DriftEvidence]:
    """Looks that are due by now. What was found stays found."""
    found = dict(tests.drifts)
    for rule in rollout.policy.metrics:
        name = SKETCH_METRICS.get(rule.metric)
        known = found.get(rule.metric)
        if name is None or (known is not None and known.drifted):
            continue
        look = _look(rule, name, rollout, figures, tests.model_version, 0 if known is None else known.look)
        if look is not None:
            found[rule.metric] = look
    return found


def _look(
    rule: MetricRule,
    name: str,
    rollout: RolloutState,
    figures: dict[str, VersionFigures],
    candidate: str,
    looks_before: int,
) -> DriftEvidence | None:
    ours, theirs = (
        figures.get(version, VersionFigures()).sketches.get(name) for version in (candidate, rollout.baseline_version)
    )
    if ours is None or theirs is None:
        return None
    current, reference = Sketch(ours), Sketch(theirs)
    look = looks_due(min(current.count, reference.count))
    if look <= looks_before:
        return None
    points = sorted({*current.points(), *reference.points()})
    return drift(
        largest_distance(reference.shares_up_to(points), current.shares_up_to(points)),
        reference_count=reference.count,
        current_count=current.count,
        look=look,
        alpha=tests_alpha(rollout.policy, len(rollout.candidates)),
        tolerance=min(0.999, rule.threshold or 0.0),
        rank_error=current.rank_error + reference.rank_error,
    )


def _with_before(table: ModelTable, name: str, record: Observation) -> ModelTable:
    if record.role != "primary" or record.rollout_id is not None:
        return table
    before = dict(table.before)
    known = before.pop(name, Counts())
    before[name] = _capped(known + Counts(record.answers, record.answers + failures_in(record)))
    while len(before) > VERSIONS_BEFORE_MAX:
        del before[next(iter(before))]
    return replace(table, before=before)


def _capped(counts: Counts) -> Counts:
    """The same rate, as of fewer answers: so that what was long ago does not outweigh what is now."""
    if counts.trials <= BEFORE_TRIALS_MAX:
        return counts
    return Counts(round(counts.rate * BEFORE_TRIALS_MAX), BEFORE_TRIALS_MAX)
