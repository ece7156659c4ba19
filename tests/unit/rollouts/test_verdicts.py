"""What metrics conclude: success of the phase, harm since the start or since the phase, drift, and who is named."""

import pytest

from hotswap_events.rollouts.strategy import MetricName, MetricRule
from hotswap_stream.application.rollouts.analysis.metric_tests import MetricTest, metric_test
from hotswap_stream.application.rollouts.analysis.verdicts import Bars, MetricVerdict, conclude, judge_drift, judge_test
from hotswap_stream.domain.statistics.drift import DriftEvidence
from hotswap_stream.domain.statistics.judgement import Outcome
from hotswap_stream.domain.statistics.samples import Counts, Moments

RULE = MetricRule(metric="success-rate", margin=0.03)
ALPHA = 0.05
BARS = Bars(answers_min=100)
BUDGET_USED = Bars(answers_min=100, budget_used=True)


def counted(baseline: float, candidate: float, *, blocks: int = 40, of: int = 100) -> MetricTest:
    """A test of blocks of answers, of which these shares were answered well."""
    test = metric_test(RULE, ALPHA)
    for _block in range(blocks):
        test = test.with_counts("baseline", Counts(round(baseline * of), of))
        test = test.with_counts("candidate", Counts(round(candidate * of), of))
    return test


NOTHING = metric_test(RULE, ALPHA)
WELL, BADLY = counted(0.97, 0.97), counted(0.97, 0.6)


def turned(test: MetricTest, candidate: float, *, blocks: int = 40) -> MetricTest:
    """The same test, and more blocks in which the candidate answers so."""
    for _block in range(blocks):
        test = test.with_counts("baseline", Counts(97, 100)).with_counts(
            "candidate", Counts(round(candidate * 100), 100)
        )
    return test


@pytest.mark.parametrize("answers_min", [100, 1_000_000])
@pytest.mark.parametrize("margin", [0.03, 0.0])
def test_a_candidate_that_turns_bad_does_not_live_on_what_it_did_before(margin: float, answers_min: int) -> None:
    rule = MetricRule(metric="success-rate", margin=margin)
    good = turned(metric_test(rule, ALPHA), 1.0)
    bars = Bars(answers_min=answers_min)
    before = judge_test("v2", good, good, bars).outcome
    assert before == ("successful" if answers_min == 100 else "running")
    bad = turned(good, 0.5)
    assert judge_test("v2", bad, bad, bars).outcome == "failed"


def test_harm_within_the_margin_is_given_up() -> None:
    rule = MetricRule(metric="success-rate", margin=0.2)
    slightly = turned(metric_test(rule, ALPHA), 0.9, blocks=200)
    evidence = slightly.evidences()[0]
    assert evidence.findings() == ["worse", "not_worse"]
    assert not evidence.contradicted
    assert judge_test("v2", slightly, slightly, BARS).outcome == "successful"


@pytest.mark.parametrize(
    ("whole", "phase", "bars", "outcome"),
    [
        (WELL, WELL, BARS, "successful"),
        (NOTHING, NOTHING, BARS, "running"),
        (NOTHING, NOTHING, BUDGET_USED, "inconclusive"),
        (BADLY, BADLY, BARS, "failed"),
        (BADLY, NOTHING, BARS, "failed"),
        (WELL, NOTHING, BARS, "running"),
        (WELL, WELL, Bars(answers_min=10_000), "running"),
        (NOTHING, BADLY, BARS, "running"),
        (NOTHING, BADLY, Bars(answers_min=100, harm_alpha=0.01), "failed"),
        (BADLY, WELL, BARS, "successful"),
    ],
    ids=[
        "not-worse",
        "nothing-yet",
        "nothing-in-the-budget",
        "worse",
        "harm-of-former-phases-counts",
        "success-is-earned-anew",
        "too-few-answers",
        "the-first-phase-has-no-test-of-its-own",
        "harm-of-a-later-phase",
        "a-phase-that-succeeds",
    ],
)
def test_success_is_of_the_phase_and_harm_of_all_or_of_a_later_phase(
    whole: MetricTest, phase: MetricTest, bars: Bars, outcome: Outcome
) -> None:
    assert judge_test("v2", whole, phase, bars).outcome == outcome


def test_the_figures_told_are_of_the_test_that_showed_it() -> None:
    since_start = judge_test("v2", BADLY, NOTHING, BARS).evidence
    assert (since_start.outcome, since_start.count) == ("failed", BADLY.candidate.trials)
    of_phase = judge_test("v2", NOTHING, BADLY, Bars(answers_min=100, harm_alpha=0.01)).evidence
    assert (of_phase.outcome, of_phase.count) == ("failed", BADLY.candidate.trials)
    running = judge_test("v2", WELL, NOTHING, BARS)
    assert (running.evidence.outcome, running.evidence.count, running.estimate) == ("inconclusive", 0, None)


def test_without_traffic_of_the_baseline_the_candidate_is_held_to_what_it_did_before() -> None:
    silent = Bars(answers_min=100, baseline_silent=True, before=Counts(970, 1_000))
    for rate, outcome in ((0.99, "successful"), (0.6, "failed")):
        alone = metric_test(RULE, ALPHA).with_counts("candidate", Counts(round(rate * 2_000), 2_000))
        judged = judge_test("v2", alone, alone, silent)
        assert judged.outcome == outcome
        assert (judged.evidence.count, judged.evidence.baseline_count) == (2_000, 1_000)
    # Without anything before there is nothing to be held to.
    assert judge_test("v2", alone, alone, Bars(answers_min=100, baseline_silent=True)).outcome == "running"


@pytest.mark.parametrize(("harm_alpha", "outcome"), [(0.01, "failed"), (0.0, "running")])
def test_in_later_phases_without_a_baseline_harm_has_the_phase_s_alpha_alone(
    harm_alpha: float, outcome: Outcome
) -> None:
    later = Bars(
        answers_min=100,
        baseline_silent=True,
        before=Counts(970, 1_000),
        first_phase=False,
        harm_alpha=harm_alpha,
    )
    bad = metric_test(RULE, ALPHA).with_counts("candidate", Counts(1_200, 2_000))
    assert judge_test("v2", bad, bad, later).outcome == outcome


def test_a_mean_and_its_threshold_must_both_hold() -> None:
    rule = MetricRule(metric="reward", margin=0.1, threshold=0.9)
    test = metric_test(rule, ALPHA)
    for number in range(400):
        value = 0.45 + number % 2 / 10
        test = test.with_values("baseline", Moments(1, value, value**2))
        test = test.with_values("candidate", Moments(1, value, value**2))
    assert judge_test("v2", test, test, BARS).outcome == "failed"
    without = metric_test(MetricRule(metric="reward", margin=0.1), ALPHA)
    assert judge_test("v2", without, without, BARS).estimate is None


def look(distance: float, count: int = 1_000) -> DriftEvidence:
    return DriftEvidence(
        look=2, distance=distance, limit=0.2, tolerance=0.1, reference_count=5_000, current_count=count, alpha=0.05
    )


@pytest.mark.parametrize(
    ("evidence", "bars", "outcome"),
    [
        (None, BARS, "running"),
        (None, BUDGET_USED, "inconclusive"),
        (look(0.3), BARS, "failed"),
        (look(0.1), BARS, "running"),
        (look(0.1), BUDGET_USED, "successful"),
        (look(0.1, count=10), BUDGET_USED, "inconclusive"),
    ],
)
def test_drift_fails_when_it_is_found_and_holds_when_none_was_found_in_the_budget(
    evidence: DriftEvidence | None, bars: Bars, outcome: Outcome
) -> None:
    rule = MetricRule(metric="input-drift", threshold=0.1)
    judged = judge_drift("v2", rule, evidence, bars)
    assert (judged.metric, judged.outcome) == ("input-drift", outcome)
    shown = judged.evidence
    assert shown.outcome == ("inconclusive" if outcome == "running" else outcome)
    assert (shown.count, shown.value) == (
        (0, None) if evidence is None else (evidence.current_count, evidence.distance)
    )
    assert shown.threshold == 0.1


def verdict(metric: MetricName, outcome: Outcome) -> MetricVerdict:
    evidence = judge_drift("v2", MetricRule(metric=metric), None, BARS).evidence
    return MetricVerdict(metric=metric, outcome=outcome, evidence=evidence)


def test_metrics_that_the_step_does_not_name_only_find_harm() -> None:
    good, open_, bad = verdict("latency", "successful"), verdict("accuracy", "running"), verdict("reward", "failed")
    assert conclude([good, open_], None) == "running"
    assert conclude([good, open_], ("latency",)) == "successful"
    assert conclude([good, bad], ("latency",)) == "failed"
    assert conclude([good, open_], ("reward",)) == "running"
    assert conclude([], None) == "running"
