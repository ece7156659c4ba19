"""Rollouts decided by errors and rankings: margins of both kinds, thresholds, the bake, and what reports show."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, get_args

import msgspec
import numpy
import pytest
from msgspec.structs import replace

from hotswap_events.rollouts.commands import RecordAnalysis
from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.strategy import MetricName, MetricRule, RolloutPolicy
from hotswap_stream.application.observations.turned_out import ItemPlaces, errors_of
from hotswap_stream.application.rollouts.analysis.judged import JudgedAnswer, judged_value
from hotswap_stream.application.rollouts.backtest.trial import RolloutTrial
from hotswap_stream.application.rollouts.report.plot import experiment_svg
from hotswap_stream.application.rollouts.report.report import Experiment, ExperimentReport
from hotswap_stream.domain.deciding.live_metrics import LIVE_METRICS
from hotswap_stream.domain.statistics.means import MeanComparison
from hotswap_stream.domain.statistics.samples import Moments
from tests.support.decider_specification import state_after
from tests.support.samples.observations import BEGIN
from tests.support.samples.registry import promoted, trained, validated
from tests.support.samples.rollouts import CANARY, start_rollout

PROVEN = (trained("v1"), validated("v1"), promoted("v1"), trained("v2"), validated("v2"))

Says = Callable[[int], dict[str, Any]]


def regression(error: float) -> Says:
    """Answers that are off by this much on average, now more, now less."""
    return lambda number: {"errors": errors_of((10.0 + error * (0.5 + number % 11 / 10),), 10.0)}


def ranking(hits_of_ten: int) -> Says:
    """So many of ten answers have the item among the first two places, at both of them alike."""
    return lambda number: {
        "chosen": ItemPlaces((number // 10 % 2,), 1) if number % 10 < hits_of_ten else ItemPlaces((), 1)
    }


def begin(*metrics: MetricRule, **fields: Any) -> RolloutTrial:
    begun = RolloutTrial(state_after(*PROVEN))
    begun.apply(start_rollout(CANARY, "v2", policy=RolloutPolicy(metrics=metrics, **fields)), BEGIN)
    assert begun.refused is None, begun.refused
    begun.decided.clear()
    return begun


def judge(begun: RolloutTrial, baseline: Says, candidate: Says, count: int = 12_000) -> MetricEvidence | None:
    """Let feedback come until something is decided: one in four about the candidate. Return the evidence."""
    for number in range(count):
        version, says = ("v2", candidate) if number % 4 == 0 else ("v1", baseline)
        at = BEGIN + timedelta(milliseconds=number)
        begun.judge(JudgedAnswer(model_version=version, answered_at=at, **says(number // 4)), at)
        if begun.decided:
            command = begun.decided[0].command
            assert isinstance(command, RecordAnalysis)
            return command.evidence[0]
    return None


def rule(metric: MetricName, **fields: Any) -> MetricRule:
    return MetricRule(metric=metric, **fields)


@pytest.mark.parametrize(
    ("decided_by", "baseline", "candidate", "outcome"),
    [
        (rule("absolute-error", margin=0.2), regression(1.0), regression(1.05), "successful"),
        (rule("absolute-error", margin=0.2), regression(1.0), regression(1.5), "failed"),
        (rule("absolute-error", relative_margin=0.2), regression(1.0), regression(1.05), "successful"),
        (rule("absolute-error", relative_margin=0.2), regression(100.0), regression(105.0), "successful"),
        (rule("absolute-error", relative_margin=0.2), regression(1.0), regression(1.5), "failed"),
        (rule("absolute-error", threshold=1.2), regression(1.0), regression(1.0), "successful"),
        (rule("absolute-error", threshold=0.8), regression(1.0), regression(1.0), "failed"),
        (rule("squared-error", margin=0.0), regression(1.0), regression(0.5), "successful"),
        (rule("squared-error", relative_margin=0.1), regression(1.0), regression(1.5), "failed"),
        (rule("percentage-error", margin=0.02), regression(1.0), regression(1.05), "successful"),
        (rule("hit-rate", margin=0.1, at=2), ranking(7), ranking(7), "successful"),
        (rule("hit-rate", margin=0.1, at=2), ranking(7), ranking(4), "failed"),
        (rule("hit-rate", relative_margin=0.15, at=2), ranking(7), ranking(7), "successful"),
        (rule("hit-rate", relative_margin=0.15, at=2), ranking(7), ranking(4), "failed"),
        (rule("hit-rate", threshold=0.5), ranking(7), ranking(7), "successful"),
        (rule("ndcg", margin=0.1), ranking(7), ranking(7), "successful"),
        (rule("ndcg", relative_margin=0.1), ranking(7), ranking(3), "failed"),
        (rule("reciprocal-rank", margin=0.1), ranking(7), ranking(3), "failed"),
    ],
)
def test_what_feedback_shows_decides(decided_by: MetricRule, baseline: Says, candidate: Says, outcome: str) -> None:
    begun = begin(decided_by)
    evidence = judge(begun, baseline, candidate)
    assert evidence is not None
    assert evidence.outcome == outcome
    assert begun.state.active_version == ("v2" if outcome == "successful" else "v1")
    assert evidence.value is not None
    assert evidence.value >= 0, "in the metric's unit, without the sign it is compared by"
    assert evidence.lower is None or evidence.upper is None or evidence.lower <= evidence.upper


def test_the_evidence_is_in_the_metrics_unit() -> None:
    evidence = judge(begin(rule("absolute-error", margin=0.2)), regression(1.0), regression(1.5))
    assert evidence is not None
    assert evidence.value == pytest.approx(1.5, rel=0.05)
    assert evidence.baseline_value == pytest.approx(1.0, rel=0.05)
    assert evidence.lower is not None
    assert evidence.lower > 0, "the candidate's error is larger, at all looks"
    relative = judge(begin(rule("ndcg", relative_margin=0.1, at=3)), ranking(7), ranking(3))
    assert relative is not None
    assert (relative.figures["relative_margin"], relative.figures["at"]) == (0.1, 3.0)


def test_a_few_vast_errors_hide_nothing_where_errors_are_cut_off() -> None:
    def with_outliers(says: Says) -> Says:
        return lambda number: {"errors": errors_of((1e9,), 10.0)} if number % 40 == 7 else says(number)

    worse = with_outliers(regression(1.0)), with_outliers(regression(2.0))
    assert judge(begin(rule("absolute-error", margin=0.1)), *worse, count=8_000) is None
    evidence = judge(begin(rule("absolute-error", margin=0.1, error_max=5.0)), *worse)
    assert evidence is not None
    assert evidence.outcome == "failed"
    assert evidence.figures["error_max"] == 5.0


def test_answers_without_a_number_count_as_the_largest_error() -> None:
    nothing = rule("absolute-error", margin=0.1, error_max=5.0)
    broken = JudgedAnswer(model_version="v2", answered_at=BEGIN, errors=errors_of((float("nan"),), 1.0))
    assert judged_value(nothing, broken) == 5.0
    assert judged_value(rule("hit-rate", margin=0.1), broken) is None, "nobody chose anything"


@pytest.mark.parametrize(("after", "active"), [(regression(1.0), "v2"), (regression(3.0), "v1")])
@pytest.mark.parametrize("margin", [{"margin": 0.2}, {"relative_margin": 0.2}])
def test_a_bake_holds_the_version_to_what_the_baseline_did(after: Says, active: str, margin: dict[str, Any]) -> None:
    begun = begin(rule("absolute-error", **margin), bake_seconds=60)
    assert judge(begun, regression(1.0), regression(1.0)) is not None
    assert begun.state.active_version == "v2"
    assert begun.state.rollout is not None
    begun.decided.clear()
    start = begun.state.rollout.phase_started_at
    for number in range(1_000):
        at = start + timedelta(milliseconds=number)
        begun.judge(JudgedAnswer(model_version="v2", answered_at=at, **after(number)), at)
    begun.tick(start + timedelta(seconds=61))
    assert begun.state.active_version == active
    assert begun.state.rollout is None


def test_one_table_says_of_each_metric_which_way_is_better() -> None:
    assert set(LIVE_METRICS) == set(get_args(MetricName))
    lower = {metric for metric, known in LIVE_METRICS.items() if known.better == "lower"}
    assert lower == {
        *("latency", "absolute-error", "squared-error", "percentage-error"),
        *("input-drift", "score-drift"),
    }


def report_of(baseline: Says, candidate: Says, *rules: MetricRule) -> ExperimentReport:
    begun = begin(*rules)
    rollout = begun.state.rollout
    assert rollout is not None
    experiment = Experiment(rollout)
    for number in range(2_000):
        for version, says in (("v1", baseline), ("v2", candidate)):
            at = BEGIN + timedelta(milliseconds=number)
            experiment.judge(JudgedAnswer(model_version=version, answered_at=at, **says(number)), at)
    return experiment.report("m", rollout)


def test_reports_show_what_feedback_told_with_unit_and_direction() -> None:
    report = report_of(regression(1.0), regression(2.0), rule("absolute-error", relative_margin=0.05))
    assert report.advice == "roll back"
    assert "absolute-error of v2" in report.because
    for arm, error in zip(report.arms, (1.0, 2.0), strict=True):
        assert set(arm.by_feedback) == {"absolute-error", "squared-error", "percentage-error"}
        shown = arm.by_feedback["absolute-error"]
        assert (shown.better, shown.unit, shown.count) == ("lower", "target", 2_000)
        assert shown.value == pytest.approx(error, rel=0.01)
        assert shown.lower is not None
        assert shown.upper is not None
        assert shown.lower < shown.value < shown.upper
    [lift] = [lift for lift in report.lifts if lift.decides]
    assert (lift.metric, lift.better, lift.unit) == ("absolute-error", "lower", "target")
    assert lift.difference == pytest.approx(1.0, rel=0.02)
    assert lift.relative == pytest.approx(1.0, rel=0.02)
    assert {lift.metric for lift in report.lifts} == {"absolute-error", "squared-error", "percentage-error"}
    drawn = experiment_svg(report)
    assert "mean absolute-error (target)" in drawn
    assert "difference to the baseline: squared-error" in drawn


def test_metrics_that_a_model_cannot_have_take_nothing_of_the_alpha() -> None:
    """The same rewards, shown beside few and beside many other metrics: the fewer, the narrower the interval."""
    begun = begin(rule("success-rate", margin=0.05))
    rollout = begun.state.rollout
    assert rollout is not None
    few, many = Experiment(rollout, shown=("reward",)), Experiment(rollout)
    widths = []
    for experiment in (few, many):
        for number in range(400):
            answer = JudgedAnswer(model_version=f"v{1 + number % 2}", answered_at=BEGIN, reward=float(number // 2 % 3))
            experiment.judge(answer, BEGIN)
        [lift] = experiment.report("m", rollout).lifts
        assert (lift.metric, lift.decides) == ("reward", False)
        assert lift.lower is not None
        assert lift.upper is not None
        widths.append(lift.upper - lift.lower)
    assert widths[0] < widths[1]


def test_reports_of_rankings_say_how_many_items_count() -> None:
    report = report_of(ranking(7), ranking(7), rule("hit-rate", margin=0.1, at=2))
    shown = report.arms[1].by_feedback["hit-rate"]
    assert (shown.name, shown.unit, shown.better) == ("hit-rate at 2", "share", "higher")
    assert shown.value == pytest.approx(0.7)
    assert report.arms[1].by_feedback["ndcg"].name == "ndcg at 10"
    assert report.advice == "roll out"


def test_rules_without_the_new_fields_are_written_as_before() -> None:
    old = rule("reward", margin=0.1)
    assert msgspec.json.encode(old) == b'{"metric":"reward","threshold":null,"margin":0.1,"slow_ms":null}'
    assert replace(old, relative_margin=0.5).relative == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("binary", [False, True])
def test_few_false_findings_at_the_edge_of_a_relative_margin(binary: bool) -> None:
    """A candidate that is worse by just what may be given up is seldom shown not to be, at any look."""
    random = numpy.random.default_rng(23)
    scale, found, experiments = (0.9, 0, 150) if binary else (1.2, 0, 150)
    for _experiment in range(experiments):
        comparison = MeanComparison(margin=0.0, scale=scale, binary=binary)
        for _block in range(60):
            if binary:
                arms = (random.random(40) < 0.9).astype(float), (random.random(20) < 0.9 * scale).astype(float)
            else:
                arms = -random.exponential(1.0, 40), -random.exponential(scale, 20)
            comparison = comparison.fold(*(Moments(len(a), float(a.sum()), float((a * a).sum())) for a in arms))
        found += comparison.evidence().finds("not_worse")
    assert found / experiments <= 0.05
