"""Two arms' rates: what is found in simulated rollouts, and that the benchmarks simulate what runs."""

import numpy
import pytest

from benchmarks.detection import found_at_answer
from benchmarks.false_alarms import alarms
from benchmarks.simulated_rates import Comparisons, fixed_size
from hotswap_stream.domain.statistics.rates import RateComparison
from hotswap_stream.domain.statistics.samples import Counts
from hotswap_stream.domain.statistics.strata import STRATUM_MIN

SECONDS = 200


def _rollout(
    baseline_rate: float, candidate_rate: float, *, per_second: tuple[int, int] = (190, 10), seconds: int = SECONDS
) -> RateComparison:
    random = numpy.random.default_rng(11)
    comparison = RateComparison()
    for _second in range(seconds):
        baseline, candidate = per_second
        comparison = comparison.fold(
            Counts(int(random.binomial(baseline, baseline_rate)), baseline),
            Counts(int(random.binomial(candidate, candidate_rate)), candidate),
        )
    return comparison


def test_harm_is_found() -> None:
    evidence = _rollout(0.9, 0.8).evidence()
    assert evidence.findings() == ["worse"]
    assert evidence.p_value("worse") < 0.025
    assert evidence.lower is not None
    assert evidence.upper is not None
    assert evidence.lower < -0.1 < evidence.upper < 0
    assert (evidence.baseline_trials, evidence.candidate_trials) == (190 * SECONDS, 10 * SECONDS)


def test_an_equal_candidate_is_not_worse() -> None:
    assert _rollout(0.9, 0.9).evidence().findings() == ["not_worse"]


def test_a_better_candidate_is_better() -> None:
    assert _rollout(0.9, 0.97).evidence().findings() == ["not_worse", "better"]


def test_a_candidate_that_always_fails_needs_one_block() -> None:
    comparison = RateComparison().fold(Counts(152, 160), Counts(0, STRATUM_MIN))
    assert comparison.evidence().findings() == ["worse"]


def test_rates_without_a_single_failure() -> None:
    evidence = _rollout(1.0, 1.0).evidence()
    assert evidence.findings() == ["not_worse"]
    assert evidence.estimate == 0.0


def test_a_level_that_changes_with_the_share_is_no_harm() -> None:
    """All answers are worse by night, when the candidate has its large share: the totals differ, the arms do not."""
    random = numpy.random.default_rng(12)
    comparison = RateComparison()
    totals = [Counts(), Counts()]
    for rate, counts in ((0.95, (190, 10)), (0.70, (100, 100))):
        for _second in range(100):
            portion = [Counts(int(random.binomial(trials, rate)), trials) for trials in counts]
            totals = [total + one for total, one in zip(totals, portion, strict=True)]
            comparison = comparison.fold(portion[0], portion[1])
    assert totals[1].rate < totals[0].rate - 0.1
    evidence = comparison.evidence()
    assert not evidence.finds("worse")
    assert evidence.finds("not_worse")
    assert evidence.estimate == pytest.approx(0.0, abs=0.02)


def test_portions_are_gathered_until_both_arms_answered() -> None:
    comparison = RateComparison()
    for _second in range(STRATUM_MIN - 1):
        comparison = comparison.fold(Counts(90, 100), Counts(1, 1))
    assert comparison.baseline == Counts()
    assert comparison.evidence().estimate is None
    comparison = comparison.fold(Counts(90, 100), Counts(1, 1))
    assert comparison.baseline == Counts(90 * STRATUM_MIN, 100 * STRATUM_MIN)
    assert comparison.open_baseline == Counts()


def test_the_cost_does_not_grow_with_the_answers() -> None:
    few, many = _rollout(0.9, 0.9, seconds=3), _rollout(0.9, 0.9, per_second=(950_000, 50_000), seconds=3)
    assert [type(value) for value in few.worse] == [type(value) for value in many.worse]
    assert many.evidence().candidate_trials == 150_000


def test_the_simulation_of_the_benchmarks_is_the_fold() -> None:
    random = numpy.random.default_rng(13)
    runs = 5
    simulated = Comparisons(runs, 0.05)
    folds = [RateComparison() for _run in range(runs)]
    for _answer in range(1_500):
        of_candidate = random.random(runs) < 0.3
        success = random.random(runs) < numpy.where(of_candidate, 0.8, 0.99)
        simulated.observe(of_candidate, success)
        for number, fold in enumerate(folds):
            one = Counts(int(success[number]), 1)
            folds[number] = fold.fold(*((Counts(), one) if of_candidate[number] else (one, Counts())))
    for number, fold in enumerate(folds):
        assert list(fold.worse) == pytest.approx(list(simulated.logs["worse"][number]))
        assert list(fold.not_worse) == pytest.approx(list(simulated.logs["not_worse"][number]))
        assert list(fold.better) == pytest.approx(list(simulated.logs["better"][number]))
        assert fold.log_e_worse == pytest.approx(simulated.highest["worse"][number])


@pytest.mark.slow
def test_few_false_alarms_in_a_small_simulation() -> None:
    ours, daily = alarms(0.9, 0.9, 0.5, 150, answers=1_500)
    assert ours <= 0.05 < 0.15 < daily


def test_a_fixed_size_test_needs_as_many_answers_as_the_tables_say() -> None:
    assert fixed_size(0.9, 0.85, 0.5) == pytest.approx(2 * 683, abs=2)


@pytest.mark.slow
def test_detection_in_a_small_simulation() -> None:
    found_at = found_at_answer(0.9, 0.85, 0.5, 2_500, experiments=60)
    assert numpy.median(found_at) < 1.3 * fixed_size(0.9, 0.85, 0.5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"margin": 0.0}, "margin is 0.0; a share between 0 and 1"),
        ({"alpha": 1.0}, "alpha is 1.0"),
        ({"before": Counts()}, "before has no trials"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RateComparison(**arguments)  # type: ignore[arg-type]
