"""The promise itself, by counting all outcomes: under its null, a block's evidence is at most 1 on average."""

from math import comb, exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.domain.statistics.beta_binomial import log_e_above, log_e_below, rate_interval
from hotswap_stream.domain.statistics.block_bets import log_block_e
from hotswap_stream.domain.statistics.rates import RateComparison
from hotswap_stream.domain.statistics.samples import Counts, Moments

RATES = st.floats(0.0, 1.0)
INNER = st.floats(0.02, 0.98)
SIZES = st.integers(1, 9)


def _probability(counts: Counts, rate: float) -> float:
    return float(comb(counts.trials, counts.successes) * rate**counts.successes * (1 - rate) ** counts.failures)


def _outcomes(trials: int) -> list[Counts]:
    return [Counts(successes, trials) for successes in range(trials + 1)]


@given(SIZES, SIZES, RATES, RATES, RATES, st.floats(-0.3, 0.3), st.floats(0.01, 0.5), st.booleans())
def test_a_block_is_a_fair_bet_under_its_null(
    baseline_trials: int,
    candidate_trials: int,
    level: float,
    baseline_rate: float,
    candidate_rate: float,
    null: float,
    reach: float,
    upwards: bool,
) -> None:
    difference = candidate_rate - baseline_rate
    # The null hypothesis is all on the near side of `null`: put the true rates there, where they are not already.
    if (difference > null) == upwards:
        candidate_rate = min(1.0, max(0.0, baseline_rate + null))
        if (
            (candidate_rate - baseline_rate > null + 1e-12)
            if upwards
            else (candidate_rate - baseline_rate < null - 1e-12)
        ):
            return
    alternative = null + reach if upwards else null - reach
    expectation = sum(
        _probability(baseline, baseline_rate)
        * _probability(candidate, candidate_rate)
        * exp(log_block_e(baseline, candidate, level, null, alternative))
        for baseline in _outcomes(baseline_trials)
        for candidate in _outcomes(candidate_trials)
    )
    assert expectation <= 1 + 1e-9


@given(st.integers(0, 40), INNER, INNER)
def test_evidence_against_a_threshold_is_fair_under_its_null(trials: int, threshold: float, rate: float) -> None:
    evidence = log_e_below if rate >= threshold else log_e_above
    expectation = sum(_probability(counts, rate) * exp(evidence(counts, threshold)) for counts in _outcomes(trials))
    assert expectation <= 1 + 1e-9


@given(INNER, st.integers(0, 30), st.integers(0, 30))
def test_at_the_threshold_the_evidence_is_a_martingale(threshold: float, one: int, other: int) -> None:
    counts = Counts(min(one, other), max(one, other))
    after = [log_e_below(counts + Counts(outcome, 1), threshold) - log_e_below(counts, threshold) for outcome in (0, 1)]
    assert (1 - threshold) * exp(after[0]) + threshold * exp(after[1]) == pytest.approx(1.0, abs=1e-6)


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from([0.01, 0.05, 0.2]))
def test_an_interval_holds_the_estimate_and_widens_with_certainty(one: int, other: int, alpha: float) -> None:
    counts = Counts(min(one, other), max(one, other))
    lower, upper = rate_interval(counts, alpha)
    assert 0 <= lower <= counts.rate <= upper <= 1 or not counts.trials
    wider_lower, wider_upper = rate_interval(counts, alpha / 10)
    assert wider_lower <= lower
    assert upper <= wider_upper


_PORTIONS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), INNER, INNER).map(
        lambda drawn: (
            Counts(round(drawn[0] * drawn[2]), drawn[0]),
            Counts(round(drawn[1] * drawn[3]), drawn[1]),
        )
    ),
    max_size=30,
)


@given(_PORTIONS)
def test_nothing_is_lost_and_findings_stay(portions: list[tuple[Counts, Counts]]) -> None:
    comparison = RateComparison()
    findings: set[str] = set()
    for baseline, candidate in portions:
        comparison = comparison.fold(baseline, candidate)
        evidence = comparison.evidence()
        assert findings <= set(evidence.findings())
        findings = set(evidence.findings())
    assert evidence_totals(comparison) == (
        sum(baseline.trials for baseline, _ in portions),
        sum(candidate.trials for _, candidate in portions),
    )


def evidence_totals(comparison: RateComparison) -> tuple[int, int]:
    """Return the totals of both arms, with what waits for its block."""
    evidence = comparison.evidence()
    return evidence.baseline_trials, evidence.candidate_trials


@given(_PORTIONS)
def test_better_is_worse_seen_from_the_other_side(portions: list[tuple[Counts, Counts]]) -> None:
    """Successes and failures swapped: the same bets, with the signs turned."""
    level = 0.8
    for baseline, candidate in portions:
        if baseline.trials and candidate.trials:
            turned = [Counts(counts.failures, counts.trials) for counts in (baseline, candidate)]
            assert log_block_e(baseline, candidate, level, 0.0, 0.05) == pytest.approx(
                log_block_e(turned[0], turned[1], 1 - level, 0.0, -0.05), abs=1e-6
            )


@given(st.lists(st.floats(-1e3, 1e3), max_size=50), st.integers(0, 50))
def test_moments_add_up(values: list[float], cut: int) -> None:
    def moments(some: list[float]) -> Moments:
        return Moments(len(some), sum(some), sum(value * value for value in some))

    both = moments(values[:cut]) + moments(values[cut:])
    whole = moments(values)
    assert both.count == whole.count
    assert both.mean == pytest.approx(whole.mean, abs=1e-6)
    assert both.variance == pytest.approx(whole.variance, abs=1e-3)
