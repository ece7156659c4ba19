"""Robbins' normal mixture: a line that a random walk crosses at any time with probability at most alpha.

H. Robbins, "Statistical methods related to the law of the iterated logarithm", 1970; S. R. Howard, A. Ramdas, J.
McAuliffe and J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021.
"""

from math import log, sqrt


def wrong_alpha(alpha: float) -> str | None:
    """Return why this cannot be the probability of a false alarm, or None."""
    return None if 0 < alpha < 1 else f"alpha is {alpha}; it is a probability between 0 and 1, often 0.05"


def boundary(variance: float, alpha: float, precision: float) -> float:
    """Return how far a walk of this variance may be from 0, either way.

    `precision` is that of the mixing distribution.
    """
    widened = variance + precision
    return sqrt(widened * log(widened / (precision * alpha**2)))


def precision_for(variance: float, alpha: float) -> float:
    """Return the precision with which `boundary` is lowest at this variance.

    With x = (variance + precision) / precision it is where x − 1 = 2 log(1 / alpha) + log x; the iteration contracts by
    1 / x, and x is above 3 for alpha up to 0.5.
    """
    ratio = 10.0
    for _step in range(60):
        ratio = 1 + 2 * log(1 / alpha) + log(ratio)
    return variance / (ratio - 1)
