"""One arm's success rate against a fixed number: "at least 99 % of the answers right", "at most 5 % slower than 50 ms".

A limit on a latency quantile is a limit on a share: p95 ≤ 50 ms says that at least 95 % of the answers take 50 ms or
less. Count those as successes, from the histogram. Exact, and a function of the counts alone: see `beta_binomial`.
"""

from hotswap_stream.domain.statistics.beta_binomial import log_e_above, log_e_below, rate_interval
from hotswap_stream.domain.statistics.evidence import Evidence, capped
from hotswap_stream.domain.statistics.normal_mixture import wrong_alpha
from hotswap_stream.domain.statistics.samples import Counts


def wrong_threshold(threshold: float, margin: float) -> str | None:
    """Return why the rate cannot be tested against this, or None."""
    if not 0 < threshold < 1:
        return f"threshold is {threshold}; a rate between 0 and 1 is needed, both excluded"
    if not 0 <= margin < threshold:
        return f"margin is {margin}; 0 or more is needed, and less than the threshold of {threshold}"
    return None


def against_threshold(
    candidate: Counts, threshold: float, *, margin: float = 0.0, alpha: float = 0.05, former: Evidence | None = None
) -> Evidence:
    """Return what shows that the rate is below `threshold`, above `threshold` − `margin`, or above `threshold`.

    These findings are "worse", "not worse" and "better".

    With `former`, the evidence of the look before, a finding stays found.

    Raises:
        ValueError: An argument is out of range.
    """
    wrong = wrong_alpha(alpha) or wrong_threshold(threshold, margin)
    if wrong:
        raise ValueError(wrong)
    lower, upper = rate_interval(candidate, alpha)
    worse = capped(log_e_below(candidate, threshold))
    better = capped(log_e_above(candidate, threshold))
    not_worse = capped(log_e_above(candidate, threshold - margin)) if margin else better
    return Evidence(
        method="rate against a threshold: beta-binomial mixture",
        estimate=candidate.rate if candidate.trials else None,
        lower=lower,
        upper=upper,
        log_e_worse=max(worse, former.log_e_worse if former else 0.0),
        log_e_not_worse=max(not_worse, former.log_e_not_worse if former else 0.0),
        log_e_better=max(better, former.log_e_better if former else 0.0),
        alpha=alpha,
        margin=margin,
        baseline_trials=0,
        candidate_trials=candidate.trials,
    )
