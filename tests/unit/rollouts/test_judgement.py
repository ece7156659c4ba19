"""Drift, and what an analysis step concludes from its metrics."""

from itertools import pairwise

import numpy
import pytest
from msgspec.structs import replace

from hotswap_stream.domain.statistics.drift import FIRST_LOOK, drift, largest_distance, looks_due
from hotswap_stream.domain.statistics.evidence import Evidence
from hotswap_stream.domain.statistics.judgement import Outcome, alpha_per_metric, judge_metric, judge_step

NOTHING_FOUND = Evidence(
    method="test",
    estimate=None,
    lower=None,
    upper=None,
    log_e_worse=0.0,
    log_e_not_worse=0.0,
    log_e_better=0.0,
    alpha=0.05,
    margin=0.05,
    baseline_trials=1_000,
    candidate_trials=100,
)
WORSE = replace(NOTHING_FOUND, log_e_worse=3.7)
NOT_WORSE = replace(NOTHING_FOUND, log_e_not_worse=3.7)


def test_the_line_is_at_two_over_alpha() -> None:
    assert not replace(NOTHING_FOUND, log_e_worse=3.68).finds("worse")
    assert WORSE.finds("worse")
    assert WORSE.p_value("worse") < 0.025 < replace(NOTHING_FOUND, log_e_worse=3.68).p_value("worse")


@pytest.mark.parametrize(
    ("evidence", "budget_used", "outcome"),
    [
        (NOTHING_FOUND, False, "running"),
        (NOTHING_FOUND, True, "inconclusive"),
        (WORSE, False, "failed"),
        (WORSE, True, "failed"),
        (NOT_WORSE, False, "successful"),
        (replace(NOT_WORSE, log_e_worse=9.0), False, "successful"),
    ],
)
def test_a_metric(evidence: Evidence, budget_used: bool, outcome: Outcome) -> None:
    assert judge_metric(evidence, budget_used=budget_used) == outcome


def test_success_waits_for_the_least_number_of_answers() -> None:
    assert judge_metric(NOT_WORSE, candidate_trials_min=101) == "running"
    assert judge_metric(NOT_WORSE, candidate_trials_min=101, budget_used=True) == "inconclusive"
    assert judge_metric(WORSE, candidate_trials_min=101) == "failed"


@pytest.mark.parametrize(
    ("outcomes", "outcome"),
    [
        (["successful", "successful"], "successful"),
        (["successful", "running"], "running"),
        (["running", "failed", "inconclusive"], "failed"),
        (["inconclusive", "running"], "running"),
        (["inconclusive", "successful"], "inconclusive"),
        ([], "successful"),
    ],
)
def test_a_step(outcomes: list[Outcome], outcome: Outcome) -> None:
    assert judge_step(outcomes) == outcome


def test_alpha_is_shared_out() -> None:
    assert alpha_per_metric(0.05, 5) == pytest.approx(0.01)
    assert alpha_per_metric(0.05, 0) == 0.05


def test_looks_are_due_when_the_values_double() -> None:
    assert [looks_due(count) for count in (0, FIRST_LOOK - 1, FIRST_LOOK, 2 * FIRST_LOOK - 1, 2 * FIRST_LOOK)] == [
        0,
        0,
        1,
        1,
        2,
    ]
    assert looks_due(FIRST_LOOK * 2**20) == 21


def _distance(reference: numpy.ndarray, current: numpy.ndarray) -> float:
    points = numpy.quantile(numpy.concatenate((reference, current)), numpy.linspace(0, 1, 200))
    shares = [[float((sample <= point).mean()) for point in points] for sample in (reference, current)]
    return largest_distance(shares[0], shares[1])


def test_drift_is_found_and_none_is_not() -> None:
    random = numpy.random.default_rng(31)
    reference = random.normal(size=4_000)
    counts = {"reference_count": 4_000, "current_count": 4_000, "look": 4}
    shifted = drift(_distance(reference, random.normal(0.3, 1.0, 4_000)), **counts)
    same = drift(_distance(reference, random.normal(size=4_000)), **counts)
    assert shifted.drifted
    assert not same.drifted
    assert judge_metric(shifted) == "failed"
    assert judge_metric(same) == "running"
    assert judge_metric(same, budget_used=True) == "successful"
    assert judge_metric(same, candidate_trials_min=4_001, budget_used=True) == "inconclusive"


@pytest.mark.slow
def test_few_false_alarms_over_all_looks() -> None:
    random = numpy.random.default_rng(32)
    alarms = 0
    for _experiment in range(40):
        reference, current = random.random(2_000), random.random(8_000)
        looks = [(look, FIRST_LOOK * 2 ** (look - 1)) for look in range(1, 6)]
        alarms += any(
            drift(_distance(reference, current[:count]), reference_count=2_000, current_count=count, look=look).drifted
            for look, count in looks
        )
    assert alarms <= 2


def test_what_is_tolerated_and_what_sketches_do_not_know() -> None:
    plain = drift(0.1, reference_count=10_000, current_count=10_000, look=1)
    assert plain.drifted
    assert not drift(0.1, reference_count=10_000, current_count=10_000, look=1, tolerance=0.1).drifted
    assert not drift(0.1, reference_count=10_000, current_count=10_000, look=1, rank_error=0.08).drifted
    limits = [drift(0.1, reference_count=10_000, current_count=10_000, look=look).limit for look in (1, 2, 9)]
    assert all(earlier < later for earlier, later in pairwise(limits))
    assert not drift(1.0, reference_count=0, current_count=10, look=1).drifted


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(ValueError, match="looks are counted from 1"):
        drift(0.1, reference_count=1, current_count=1, look=0)
    with pytest.raises(ValueError, match="shares from 0 to 1"):
        drift(1.1, reference_count=1, current_count=1, look=1)
    with pytest.raises(ValueError, match="-1 reference"):
        drift(0.1, reference_count=-1, current_count=1, look=1)
    with pytest.raises(ValueError, match="at the same points"):
        largest_distance([0.1], [0.1, 0.2])
    with pytest.raises(ValueError, match="rises from 0 to 1"):
        largest_distance([0.2, 0.1], [0.1, 0.2])
