"""When the tests of a rollout begin anew: with the rollout, another policy, a new phase, a bake. Pure.

What the baseline did before makes the new tests quick, and is what a version is held to where no baseline runs beside
it.
"""

from msgspec.structs import replace

from hotswap_events.rollouts.strategy import RolloutPolicy
from hotswap_stream.application.rollouts.analysis.alpha_shares import HARM_OF_ALL, tests_alpha
from hotswap_stream.application.rollouts.analysis.figures import SKETCH_METRICS, VersionFigures
from hotswap_stream.application.rollouts.analysis.metric_tests import MetricTest, metric_test
from hotswap_stream.application.rollouts.analysis.table import CandidateTests, ModelTable, RolloutTable
from hotswap_stream.domain.state.rollout import RolloutState
from hotswap_stream.domain.statistics.samples import Counts

BEFORE_TRIALS_MAX = 1_000
"""What the baseline did before a rollout counts as at most this many answers."""


def in_step_with(table: ModelTable, rollout: RolloutState | None) -> ModelTable:
    """Return the table for the rollout that is on: a new one, another policy, a new phase, a bake."""
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
    """Begin the tests of the phase anew; what the baseline did until now makes them quick."""
    alpha = tests_alpha(rollout.policy, len(rollout.candidates))
    figures = known.figures.get(rollout.baseline_version, VersionFigures())
    before = capped(figures.outcomes) if figures.outcomes.trials else table.before.get(rollout.baseline_version)
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
    """Return what a version without a baseline beside it is held to.

    That is what the baseline did in the rollout, or where more is known of that, before it.
    """
    known_before = test.rule.metric == "success-rate" and before.trials > test.baseline.trials
    return before if known_before else test.baseline


def capped(counts: Counts) -> Counts:
    """Return the same rate, as of fewer answers: so that what was long ago does not outweigh what is now."""
    if counts.trials <= BEFORE_TRIALS_MAX:
        return counts
    return Counts(round(counts.rate * BEFORE_TRIALS_MAX), BEFORE_TRIALS_MAX)
