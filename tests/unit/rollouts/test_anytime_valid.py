"""One rate, one mean, one quantile: the same numbers as another implementation, and as closed forms."""

from math import comb, inf, isinf, log

import numpy
import pytest
import ville
from scipy.special import betainc

from hotswap_stream.domain.statistics import beta_binomial
from hotswap_stream.domain.statistics.beta_binomial import (
    log_e_above,
    log_e_below,
    log_e_value,
    rate_interval,
)
from hotswap_stream.domain.statistics.means import VALUES_MIN, mean_interval
from hotswap_stream.domain.statistics.normal_mixture import boundary, precision_for
from hotswap_stream.domain.statistics.samples import Counts, Moments
from hotswap_stream.domain.statistics.thresholds import against_threshold


def _answers(rate: float, count: int = 400) -> numpy.ndarray:
    return (numpy.random.default_rng(7).random(count) < rate).astype(float)


@pytest.mark.parametrize("rate", [0.02, 0.5, 0.97, 1.0])
def test_evidence_and_interval_of_a_rate_are_those_of_ville(rate: float) -> None:
    answers = _answers(rate)
    test = ville.BernoulliTest(0.9).fit(answers)
    sequence = ville.BernoulliCS(alpha=0.05, intersect=False).fit(answers)
    for trials in (1, 2, 17, 100, 400):
        counts = Counts(int(answers[:trials].sum()), trials)
        assert log_e_value(counts, 0.9) == pytest.approx(test.log_e_values_[trials - 1])
        lower, upper = rate_interval(counts, 0.05)
        assert lower == pytest.approx(sequence.lower_[trials - 1], abs=1e-9)
        assert upper == pytest.approx(sequence.upper_[trials - 1], abs=1e-9)


def test_the_interval_of_a_mean_is_that_of_ville() -> None:
    values = numpy.random.default_rng(8).gamma(2.0, 3.0, 2_000) + 1_000
    sequence = ville.AsymptoticCS(alpha=0.05, t_opt=500, min_samples=VALUES_MIN).fit(values)
    for count in (VALUES_MIN, 500, 2_000):
        shifted = values[:count] - 1_000
        moments = Moments(count, float(shifted.sum()), float((shifted**2).sum()), origin=1_000.0)
        lower, upper = mean_interval(moments, 0.05)
        assert lower == pytest.approx(sequence.lower_[count - 1], abs=1e-4)
        assert upper == pytest.approx(sequence.upper_[count - 1], abs=1e-4)
    assert mean_interval(Moments(VALUES_MIN - 1, 1.0, 1.0)) == (-inf, inf)


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.3])
def test_boundary_and_its_precision_are_those_of_ville(alpha: float) -> None:
    precision = precision_for(500.0, alpha)
    assert precision == pytest.approx(ville.best_rho(500.0, alpha), rel=1e-3)
    for variance in (1.0, 500.0, 1e6):
        assert boundary(variance, alpha, precision) == pytest.approx(
            float(ville.normal_mixture(variance, alpha, precision))
        )


def test_evidence_closed_forms() -> None:
    # The average of p^s (1 − p)^f over all p is 1 / ((n + 1) C(n, s)).
    for successes, trials, rate in ((3, 10, 0.4), (0, 5, 0.5), (7, 7, 0.9)):
        likelihood = rate**successes * (1 - rate) ** (trials - successes)
        expected = -log((trials + 1) * comb(trials, successes)) - log(likelihood)
        assert log_e_value(Counts(successes, trials), rate) == pytest.approx(expected)
    assert log_e_value(Counts(), 0.3) == 0.0
    assert log_e_below(Counts(), 0.3) == pytest.approx(0.0)
    assert isinf(log_e_value(Counts(1, 2), 1.0))


@pytest.mark.parametrize(("a", "b"), [(1, 1), (3, 900), (900, 3), (5_000, 5_000), (2_000_000, 50_000)])
def test_the_incomplete_beta_function(a: int, b: int) -> None:
    mean = a / (a + b)
    for x in (mean * 0.9, mean * 0.999, mean, mean + (1 - mean) * 0.01, mean + (1 - mean) * 0.5):
        reference = float(betainc(a, b, x))
        if reference > 1e-290:
            assert beta_binomial._log_beta_share(a, b, x) == pytest.approx(log(reference), abs=1e-6)


def test_evidence_of_one_side_grows_on_that_side_only() -> None:
    bad = Counts(800, 1_000)
    assert log_e_below(bad, 0.9) > log(1_000)
    assert log_e_above(bad, 0.9) < 0
    assert log_e_above(bad, 0.7) > log(1_000)


def test_a_rate_against_a_threshold() -> None:
    harmed = against_threshold(Counts(880, 1_000), 0.95)
    assert harmed.findings() == ["worse"]
    assert harmed.estimate == 0.88
    assert harmed.lower is not None
    assert harmed.lower < 0.88
    good = against_threshold(Counts(985, 1_000), 0.95)
    assert good.findings() == ["not_worse", "better"]
    within = against_threshold(Counts(4_740, 5_000), 0.95, margin=0.02)
    assert within.findings() == ["not_worse"]
    assert against_threshold(Counts(), 0.95).findings() == []
    assert against_threshold(Counts(), 0.95).estimate is None


def test_a_finding_stays_found() -> None:
    harmed = against_threshold(Counts(880, 1_000), 0.95)
    later = against_threshold(Counts(9_880, 10_000), 0.95, former=harmed)
    assert later.finds("worse")
    assert later.finds("better")


@pytest.mark.parametrize(
    ("threshold", "margin", "alpha", "said"),
    [
        (1.0, 0.0, 0.05, "a rate between 0 and 1 is needed"),
        (0.9, 0.9, 0.05, "margin is 0.9; 0 or more is needed, and less than the threshold"),
        (0.9, 0.0, 0.0, "alpha is 0.0"),
    ],
)
def test_wrong_arguments_are_told(threshold: float, margin: float, alpha: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        against_threshold(Counts(1, 2), threshold, margin=margin, alpha=alpha)


def test_impossible_samples_are_told() -> None:
    with pytest.raises(ValueError, match="3 successes in 2 trials; 0 to 2 are possible"):
        Counts(3, 2)
    with pytest.raises(ValueError, match="too small for 4 values"):
        Moments(4, 10.0, 1.0)
    with pytest.raises(ValueError, match="of no values"):
        Moments(0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"origins 0\.0 and 1\.0 differ"):
        Moments(1, 1.0, 1.0) + Moments(1, 1.0, 1.0, origin=1.0)
    with pytest.raises(ValueError, match="both excluded"):
        log_e_below(Counts(1, 2), 1.0)
