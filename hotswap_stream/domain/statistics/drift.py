"""Do inputs or scores come from another distribution than before? Kolmogorov–Smirnov, at few, planned looks.

An empirical distribution function of n values is nowhere further than √(log(2 / α) / (2 n)) from the true one, with
probability at least 1 − α (A. Dvoretzky, J. Kiefer and J. Wolfowitz, 1956; P. Massart, "The tight constant in the
Dvoretzky–Kiefer–Wolfowitz inequality", 1990). Two samples of one distribution are no further apart than both such
distances at α / 2 together. Looking is paid for by spending alpha: look k may err with probability α / (k (k + 1)),
which adds up to α over any number of looks. Looks are due when the number of values has doubled, so the price stays
low: 20 looks reach a million times the first sample.

At large counts a difference that nobody minds is significant, so a distance up to `tolerance` does not count as drift.
From sketches the distribution functions are known up to their rank error, which is subtracted too.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt

from msgspec import Struct

from hotswap_stream.domain.statistics.normal_mixture import wrong_alpha

FIRST_LOOK = 500
"""Values before the first look."""


class DriftEvidence(Struct, frozen=True, kw_only=True):
    """`distance` is the largest one between the distribution functions, 0 to 1; drift is a distance above `limit`."""

    look: int
    distance: float
    limit: float
    tolerance: float
    reference_count: int
    current_count: int
    alpha: float

    @property
    def drifted(self) -> bool:
        """Whether the distributions are further apart than chance and the tolerance explain."""
        return self.distance > self.limit


def looks_due(count: int, first_look: int = FIRST_LOOK) -> int:
    """Return how many looks there may have been at `count` values.

    It is 1 from `first_look` on, and one more with each doubling.
    """
    return max(0, (count // first_look).bit_length())


def largest_distance(reference: Sequence[float], current: Sequence[float]) -> float:
    """Return the largest distance between two distribution functions at the same points, 0 to 1.

    Take the points from both sketches' quantiles. Between points the true distance can be larger, never smaller: few
    points make the test blind to narrow changes, not prone to false alarms.

    Raises:
        ValueError: These are no distribution functions, or not at the same points.
    """
    if len(reference) != len(current):
        raise ValueError(f"{len(reference)} and {len(current)} shares; both are needed at the same points")
    for shares in (reference, current):
        if any(later < earlier for earlier, later in pairwise(shares)) or not all(0 <= share <= 1 for share in shares):
            raise ValueError("a distribution function rises from 0 to 1; these shares do not")
    return max((abs(one - other) for one, other in zip(reference, current, strict=True)), default=0.0)


def drift(
    distance: float,
    *,
    reference_count: int,
    current_count: int,
    look: int,
    alpha: float = 0.05,
    tolerance: float = 0.0,
    rank_error: float = 0.0,
) -> DriftEvidence:
    """Return what look number `look` (1, 2, …; each number once) at this distance shows.

    `rank_error` is the sum of both sketches'. Without a reference or current values nothing is shown: the limit is 1.
    ValueError when an argument is out of range.
    """
    wrong = wrong_alpha(alpha)
    if wrong is None and look < 1:
        wrong = f"look is {look}; looks are counted from 1"
    if wrong is None and not (0 <= distance <= 1 and 0 <= tolerance < 1 and 0 <= rank_error < 1):
        wrong = f"distance {distance}, tolerance {tolerance} and rank error {rank_error}: shares from 0 to 1 are needed"
    if wrong is None and min(reference_count, current_count) < 0:
        wrong = f"{reference_count} reference and {current_count} current values; 0 or more are needed"
    if wrong:
        raise ValueError(wrong)
    limit = 1.0
    if reference_count and current_count:
        spent = alpha / (look * (look + 1))
        apart = sqrt(log(4 / spent) / (2 * reference_count)) + sqrt(log(4 / spent) / (2 * current_count))
        limit = min(1.0, apart + tolerance + rank_error)
    return DriftEvidence(
        look=look,
        distance=distance,
        limit=limit,
        tolerance=tolerance,
        reference_count=reference_count,
        current_count=current_count,
        alpha=alpha,
    )
