"""What a report says: why nothing is decided yet, and what came of a rollout that ended."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from hotswap_events.rollouts.events import MetricEvidence
from hotswap_events.rollouts.strategy import MetricName
from hotswap_stream.application.rollouts.report.decision import decision_of
from hotswap_stream.application.rollouts.report.report import Experiment
from hotswap_stream.application.rollouts.report.undecided import undecided_of
from tests.support.decider_specification import state_after
from tests.support.samples.rollout_course import IN_CANARY
from tests.support.samples.rollouts import EVIDENCE, analysis_recorded, completed


def entry(metric: MetricName = "accuracy", **fields: object) -> MetricEvidence:
    known = {"model_version": "v2", "outcome": "inconclusive", "count": 1_000, "lower": -0.03, "upper": 0.01}
    return MetricEvidence(metric=metric, **{**known, "margin": 0.02, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "words", "missing"),
    [
        # est. -0.01, half 0.02: 0.01 from either limit, so four times the answers
        (entry(), "lower end -0.03 is not above -0.02 (good enough), and the upper end +0.01 is not below +0", 3_000),
        (entry(lower=-0.021, upper=0.021), "about 110 more answers", 110),
        (entry(metric="latency", lower=-0.01, upper=0.03), "upper end +0.03 is not below +0.02 (good enough)", 3_000),
        (entry(margin=None, threshold=0.9, lower=0.88, upper=0.94), "is not above +0.9 (good enough)", 8_100),
        (entry(margin=None, threshold=0.9, lower=0.8, upper=1.0), "(harm)", None),
        (entry(lower=-0.01, count=60), "60 of the 100 answers that a success needs", 40),
        (entry(count=0), "nothing to measure yet", None),
        (entry(lower=None), "too few for an interval", None),
    ],
)
def test_an_undecided_metric_says_which_end_has_not_passed_which_limit(
    found: MetricEvidence, words: str, missing: int | None
) -> None:
    [reason] = undecided_of((found,), 100)
    assert words in reason.because
    assert reason.answers_missing == missing


def test_decided_metrics_need_no_reason() -> None:
    assert undecided_of((entry(outcome="successful"), entry(outcome="failed")), 100) == ()


def test_after_the_end_a_report_says_what_the_log_says() -> None:
    running = state_after(*IN_CANARY)
    assert running.rollout is not None
    assert decision_of(running.rollout) is None
    assert Experiment(running.rollout).report("digits", running.rollout).advice == "continue"
    state = state_after(*IN_CANARY, analysis_recorded("failed", evidence=EVIDENCE), completed("aborted"))
    [rollout] = state.rollout_history
    report = Experiment(rollout).report("digits", rollout)
    assert (report.advice, report.because) == ("ended", "it was aborted by alice")
    assert report.evidence == EVIDENCE
    assert report.decision is not None
    assert (report.decision.outcome, report.decision.sequence) == ("aborted", state.sequence)
    told = replace(report.decision, outcome="promoted", model_version="v2", by="rollout-analysis", reason="shown")
    told = replace(told, asked_by="alice", asked_reason="faster", at=datetime.now(UTC))
    assert str(told) == "v2 was promoted by rollout-analysis: shown, asked for by alice (faster)"
