"""One rate, looked at as often as one likes: the beta-binomial mixture.

For a rate `p` the mixture's likelihood, averaged over a Beta(1, 1) distribution, divided by that of `p` is a martingale
that starts at 1. By J. Ville's inequality (1939) it ever reaches 1 / alpha with probability at most alpha, so it may be
looked at after each answer. H. Robbins, 1970; S. R. Howard et al., "Time-uniform, nonparametric, nonasymptotic
confidence sequences", 2021. Against a whole side ("at least p") the mixture is cut off at `p`: each rate below gives a
supermartingale under each rate above. Exact for any count; only independence of the answers is asked for.
"""

from math import exp, inf, lgamma, log, log1p

from hotswap_stream.domain.statistics.normal_mixture import wrong_alpha
from hotswap_stream.domain.statistics.samples import Counts

_BISECTIONS = 80


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _log_likelihood(counts: Counts, rate: float) -> float:
    result = 0.0
    if counts.successes:
        result += counts.successes * log(rate) if rate > 0 else -inf
    if counts.failures:
        result += counts.failures * log1p(-rate) if rate < 1 else -inf
    return result


def log_e_value(counts: Counts, rate: float) -> float:
    """Return the log evidence that the true rate is not `rate`, on either side."""
    return _log_beta(counts.successes + 1, counts.failures + 1) - _log_likelihood(counts, rate)


def log_e_below(counts: Counts, rate: float) -> float:
    """Return the log evidence that the true rate is below `rate`, against "at least `rate`".

    Raises:
        ValueError: `rate` is not above 0 and below 1.
    """
    _require_inner(rate)
    return log_e_value(counts, rate) + _log_beta_share(counts.successes + 1, counts.failures + 1, rate) - log(rate)


def log_e_above(counts: Counts, rate: float) -> float:
    """Return the log evidence that the true rate is above `rate`, against "at most `rate`".

    Raises:
        ValueError: `rate` is not above 0 and below 1.
    """
    return log_e_below(Counts(counts.failures, counts.trials), 1 - rate)


def rate_interval(counts: Counts, alpha: float = 0.05) -> tuple[float, float]:
    """Return the rates between which the true one lies, at all looks together with probability 1 − alpha or more."""
    wrong = wrong_alpha(alpha)
    if wrong:
        raise ValueError(wrong)
    if not counts.trials:
        return 0.0, 1.0
    threshold = log(1 / alpha)

    def edge(outside: float) -> float:
        inside = counts.rate
        for _step in range(_BISECTIONS):
            middle = (inside + outside) / 2
            if log_e_value(counts, middle) > threshold:
                outside = middle
            else:
                inside = middle
        return outside

    return (edge(0.0) if counts.successes else 0.0), (edge(1.0) if counts.failures else 1.0)


def _require_inner(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(
            f"{rate} is not a rate that can be tested against: a number between 0 and 1 is needed, both excluded"
        )


def _log_beta_share(a: float, b: float, x: float) -> float:
    """Return the log of the regularised incomplete beta function, by its continued fraction (Lentz's algorithm)."""
    front = a * log(x) + b * log1p(-x) - _log_beta(a, b)
    if x < (a + 1) / (a + b + 2):
        return front - log(a) + log(_fraction(a, b, x))
    upper = exp(front - log(b) + log(_fraction(b, a, 1 - x)))
    return log1p(-min(upper, 1 - 1e-16))


def _fraction(a: float, b: float, x: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    result = d
    # Terms needed grow with the square root of a + b; the limit serves counts of 10^10.
    for m in range(1, 200_000):  # pragma: no branch  (what is counted by the products ends before)
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + numerator * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + numerator / c
            c = c if abs(c) > tiny else tiny
            result *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return result
