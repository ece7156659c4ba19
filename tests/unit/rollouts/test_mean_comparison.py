"""Two arms' means: what is found in simulated rollouts, coverage at all looks, and few answers say nothing."""

import numpy
import pytest

from hotswap_stream.domain.statistics.means import VALUES_MIN, MeanComparison
from hotswap_stream.domain.statistics.samples import Moments


def _moments(values: numpy.ndarray) -> Moments:
    return Moments(len(values), float(values.sum()), float((values**2).sum()))


def _rollout(random: numpy.random.Generator, gain: float, seconds: int = 200, margin: float = 0.1) -> MeanComparison:
    comparison = MeanComparison(margin=margin)
    for _second in range(seconds):
        comparison = comparison.fold(
            _moments(random.exponential(1.0, 40)), _moments(random.exponential(1.0, 20) + gain)
        )
    return comparison


@pytest.mark.parametrize(
    ("gain", "findings"), [(-0.3, ["worse"]), (0.0, ["not_worse"]), (0.3, ["not_worse", "better"])]
)
def test_findings(gain: float, findings: list[str]) -> None:
    evidence = _rollout(numpy.random.default_rng(21), gain).evidence()
    assert evidence.findings() == findings
    assert evidence.lower is not None
    assert evidence.upper is not None
    assert evidence.lower < gain < evidence.upper
    # The findings are what the interval shows.
    assert evidence.finds("worse") == (evidence.upper < 0)
    assert evidence.finds("not_worse") == (evidence.lower > -0.1)
    assert evidence.finds("better") == (evidence.lower > 0)


@pytest.mark.slow
def test_few_false_findings_with_a_look_each_second() -> None:
    random = numpy.random.default_rng(22)
    evidence = [_rollout(random, 0.0, seconds=60).evidence() for _experiment in range(150)]
    alarms = [each for each in evidence if each.finds("worse") or each.finds("better")]
    assert len(alarms) / len(evidence) <= 0.05


def test_little_says_nothing() -> None:
    few = MeanComparison(margin=0.1).fold(Moments(10_000, 10_000.0, 20_000.0), Moments(VALUES_MIN - 1, 0.0, 0.0))
    evidence = few.evidence()
    assert evidence.findings() == []
    assert (evidence.lower, evidence.upper) == (None, None)
    assert MeanComparison(margin=0.1).evidence().estimate is None


def test_means_that_never_vary() -> None:
    constant = MeanComparison(margin=0.0).fold(Moments(500, 500.0, 500.0), Moments(500, 0.0, 0.0))
    assert constant.evidence().findings() == ["worse"]
    assert constant.evidence().estimate == -1.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"margin": -1.0}, "margin is -1.0; 0 or more"),
        ({"margin": 0.1, "alpha": 0.0}, "alpha is 0.0"),
        ({"margin": 0.1, "tuned_for": 0}, "tuned_for is 0"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MeanComparison(**arguments)  # type: ignore[arg-type]
