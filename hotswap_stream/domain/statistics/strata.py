"""The difference of two means over many strata, each compared within itself.

When an arm's share changes while the level changes too (a ramp over a day), the overall means mislead (Simpson's
paradox). Sums over strata, weighted as by N. Mantel and W. Haenszel, 1959, do not, and they are all that has to be
kept.
"""

from math import sqrt

from msgspec import Struct

from hotswap_stream.domain.statistics.normal_mixture import boundary, precision_for

STRATUM_MIN = 8
"""Answers of each arm that a stratum should have: smaller ones waste what an uneven split of them cannot compare."""


class Strata(Struct, frozen=True):
    """Sums over strata, from which the difference of two means is read.

    `weight` is the sum of nb nc / (nb + nc), `score` the sum of that times the difference; `candidate_part` and
    `baseline_part` say how much of the weight's noise is whose.
    """

    weight: float = 0.0
    score: float = 0.0
    candidate_part: float = 0.0
    baseline_part: float = 0.0
    baseline_level: float = 0.0
    """The sum of the weights times the baseline's means."""

    def with_stratum(self, baseline_count: int, baseline_mean: float, count: int, mean: float) -> "Strata":
        """Return the same, and one stratum more; one without answers of both arms says nothing."""
        if not baseline_count or not count:
            return self
        share = count / (baseline_count + count)
        weight = baseline_count * share
        return Strata(
            self.weight + weight,
            self.score + weight * (mean - baseline_mean),
            self.candidate_part + weight * (1 - share),
            self.baseline_part + weight * share,
            self.baseline_level + weight * baseline_mean,
        )

    @property
    def difference(self) -> float | None:
        """Candidate − baseline; None while nothing was compared."""
        return self.score / self.weight if self.weight else None

    def score_against(self, scale: float) -> float:
        """Return the score of the candidate against the baseline times `scale`."""
        return self.score + (1 - scale) * self.baseline_level

    def variance(self, baseline_variance: float, candidate_variance: float, scale: float = 1.0) -> float:
        """Return the variance of the score, given those of single values; of that against the baseline times `scale`.

        Each stratum is compared within itself there, too, so that the walk's steps stay independent.
        """
        return self.candidate_part * candidate_variance + scale**2 * self.baseline_part * baseline_variance

    def radius(self, baseline_variance: float, candidate_variance: float, alpha: float, tuned_weight: float) -> float:
        """Return half the width of the asymptotic confidence sequence of the difference.

        It is infinite while nothing was compared.

        I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas, "Time-uniform central limit theory and
        asymptotic confidence sequences", 2024. The score is a walk with independent steps whatever the order in which
        the arms answer, because each stratum's share of it is a difference within the stratum.
        """
        if not self.weight:
            return float("inf")
        spread = sqrt(self.variance(baseline_variance, candidate_variance) / self.weight)
        return spread * boundary(self.weight, alpha, precision_for(tuned_weight, alpha)) / self.weight
