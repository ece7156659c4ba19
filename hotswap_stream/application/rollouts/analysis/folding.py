"""Folding observations and feedback into a model's table. Pure: each fold makes a new table, no clock is read.

An observation that is read twice counts once: each run of a worker numbers its records, and the table's entry keeps the
highest number of each run (see `entry`).
"""

from msgspec.structs import replace

from hotswap_events.inference.observation import Observation
from hotswap_events.rollouts.strategy import ShadowStrategy
from hotswap_stream.application.rollouts.analysis.drift_looks import drifts_found
from hotswap_stream.application.rollouts.analysis.figures import (
    SKETCH_METRICS,
    JudgedAnswer,
    VersionFigures,
    counts_for,
    failures_in,
)
from hotswap_stream.application.rollouts.analysis.judged import judged_value, moments_of
from hotswap_stream.application.rollouts.analysis.metric_tests import MetricTest, Side
from hotswap_stream.application.rollouts.analysis.phases import capped, in_step_with
from hotswap_stream.application.rollouts.analysis.table import CandidateTests, ModelTable
from hotswap_stream.domain.deciding.live_metrics import is_share, lower_is_better
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.samples import Counts

VERSIONS_BEFORE_MAX = 8


def fold_observation(table: ModelTable, rollout: RolloutState | None, record: Observation) -> ModelTable:
    """Return the table with one observation more, in step with the rollout.

    Raises:
        ValueError: A sketch in it cannot be read.
    """
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
    """Return the table with what turned out about one answer."""
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
    figures = {
        **known.figures,
        name: known.figures.get(name, VersionFigures()).with_judged(judged, rollout.policy.metrics),
    }
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


def _counts_here(rollout: RolloutState, record: Observation) -> bool:
    """Return whether the record is of an arm of the split; of a shadow in a shadow rollout."""
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
    drifts = drifts_found(tests, rollout, figures) if side == "candidate" else tests.drifts
    return replace(tests, whole=whole, phase=phase, phase_answers=answers, drifts=drifts)


def _counted(test: MetricTest, side: Side, record: Observation) -> MetricTest:
    counts = counts_for(test.rule, record)
    return test if counts is None or not counts.trials else test.with_counts(side, counts)


def _judged(test: MetricTest, side: Side, judged: JudgedAnswer) -> MetricTest:
    value = judged_value(test.rule, judged)
    if value is None:
        return test
    metric = test.rule.metric
    if is_share(metric):
        return test.with_counts(side, Counts(int(value), 1))
    return test.with_values(side, moments_of(-value if lower_is_better(metric) else value))


def _with_before(table: ModelTable, name: str, record: Observation) -> ModelTable:
    if record.role != "primary" or record.rollout_id is not None:
        return table
    before = dict(table.before)
    known = before.pop(name, Counts())
    before[name] = capped(known + Counts(record.answers, record.answers + failures_in(record)))
    while len(before) > VERSIONS_BEFORE_MAX:
        del before[next(iter(before))]
    return replace(table, before=before)
