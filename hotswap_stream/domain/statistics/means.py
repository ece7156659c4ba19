"""Means of any values (rewards, scores): asymptotic confidence sequences, for one and for the difference of two.

I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy and A. Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences", 2024. Only a finite variance is asked for, but the promise is that of the central limit theorem:
it holds better the more values there are. So nothing is said below `VALUES_MIN` of them.
"""

from math import inf, log, sqrt

from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream.domain.statistics.evidence import LOG_E_MAX, Evidence
from hotswap_stream.domain.statistics.normal_mixture import boundary, precision_for, wrong_alpha
from hotswap_stream.domain.statistics.samples import Moments, cautious_variance
from hotswap_stream.domain.statistics.strata import STRATUM_MIN, Strata

VALUES_MIN = 100
"""Values that each arm must have before anything is said."""

TUNED_FOR = 500
"""Values (of each arm) with which the interval is narrowest, compared with the narrowest possible."""


def mean_interval(values: Moments, alpha: float = 0.05, tuned_for: int = TUNED_FOR) -> tuple[float, float]:
    """Return the numbers between which the true mean lies, at all looks together; infinite below `VALUES_MIN`."""
    wrong = wrong_alpha(alpha)
    if wrong:
        raise ValueError(wrong)
    if values.count < VALUES_MIN:
        return -inf, inf
    radius = sqrt(values.variance) * boundary(values.count, alpha, precision_for(tuned_for, alpha)) / values.count
    return values.mean - radius, values.mean + radius


class MeanComparison(Struct, frozen=True, kw_only=True):
    """Is the candidate's mean worse than the baseline's, not worse by `margin`, or better? A fold, as `RateComparison`.

    Higher is better: give costs with a minus. `margin` is in the unit of the values. With `scale` the candidate may
    instead be as low as the baseline's mean times this: 1.05 for costs (their means are below 0) and 0.95 for gains
    give up 5 %. `binary`: the values are 0 or 1, and that all were alike so far is no proof that nothing varies. Each
    fold is a stratum, compared within itself; portions are gathered until both arms have `STRATUM_MIN` values.
    ValueError where `margin`, `scale` or `alpha` is out of range.
    """

    margin: float
    alpha: float = 0.05
    tuned_for: int = TUNED_FOR
    scale: float = 1.0
    binary: bool = False
    baseline: Moments = Moments()
    candidate: Moments = Moments()
    open_baseline: Moments = Moments()
    open_candidate: Moments = Moments()
    strata: Strata = Strata()
    log_e_worse: float = 0.0
    log_e_not_worse: float = 0.0
    log_e_better: float = 0.0

    def __post_init__(self) -> None:
        wrong = wrong_alpha(self.alpha)
        if wrong is None and not 0 <= self.margin < inf:
            wrong = f"margin is {self.margin}; 0 or more is needed, in the unit of the values"
        if wrong is None and self.tuned_for < 1:
            wrong = f"tuned_for is {self.tuned_for}; 1 or more values are needed"
        if wrong is None and not (0 < self.scale < inf and (self.scale == 1.0 or not self.margin)):
            wrong = f"scale is {self.scale}; a number above 0 is needed, 0.95 or 1.05 for 5 %, and then no margin"
        if wrong:
            raise ValueError(wrong)

    def fold(self, baseline: Moments, candidate: Moments) -> "MeanComparison":
        """Return the comparison with what was counted since the last fold.

        Raises:
            ValueError: The origins of the values differ.
        """
        open_baseline, open_candidate = self.open_baseline + baseline, self.open_candidate + candidate
        if min(open_baseline.count, open_candidate.count) < STRATUM_MIN:
            return replace(self, open_baseline=open_baseline, open_candidate=open_candidate)
        folded = replace(
            self,
            baseline=self.baseline + open_baseline,
            candidate=self.candidate + open_candidate,
            open_baseline=Moments(),
            open_candidate=Moments(),
            strata=self.strata.with_stratum(
                open_baseline.count, open_baseline.mean, open_candidate.count, open_candidate.mean
            ),
        )
        return replace(
            folded,
            log_e_worse=max(self.log_e_worse, folded._log_e(0.0, -1)),
            log_e_not_worse=max(self.log_e_not_worse, folded._log_e(-self.margin, 1, self.scale)),
            log_e_better=max(self.log_e_better, folded._log_e(0.0, 1)),
        )

    def evidence(self) -> Evidence:
        """Return what the interval shows: "worse" is one below 0, "not worse" one above −margin."""
        difference = self.strata.difference
        lower = upper = None
        if difference is not None and self._enough():
            radius = self.strata.radius(*self._variances(), self.alpha, self._tuned_weight())
            lower, upper = difference - radius, difference + radius
        return Evidence(
            method="means: asymptotic confidence sequence",
            estimate=difference,
            lower=lower,
            upper=upper,
            log_e_worse=self.log_e_worse,
            log_e_not_worse=self.log_e_not_worse,
            log_e_better=self.log_e_better,
            alpha=self.alpha,
            margin=self.margin,
            baseline_trials=(self.baseline + self.open_baseline).count,
            candidate_trials=(self.candidate + self.open_candidate).count,
        )

    def _enough(self) -> bool:
        return min(self.baseline.count, self.candidate.count) >= VALUES_MIN

    def _variances(self) -> tuple[float, float]:
        if not self.binary:
            return self.baseline.variance, self.candidate.variance
        baseline, candidate = (cautious_variance(arm.total, arm.count) for arm in (self.baseline, self.candidate))
        return baseline, candidate

    def _tuned_weight(self) -> float:
        return self.tuned_for / 2  # nb nc / (nb + nc) with tuned_for values of each arm

    def _log_e(self, null: float, direction: int, scale: float = 1.0) -> float:
        """Return the log of the two-sided mixture's evidence, plus log 2: it counts on one side only, at alpha / 2."""
        variance = self.strata.variance(*self._variances(), scale)
        distance = direction * (self.strata.score_against(scale) - null * self.strata.weight)
        if not self._enough() or distance <= 0:
            return 0.0
        if not variance:
            return LOG_E_MAX
        precision = precision_for(self._tuned_weight(), self.alpha) * variance / self.strata.weight
        widened = variance + precision
        log_e = distance**2 / (2 * widened) + log(precision / widened) / 2
        return min(LOG_E_MAX, max(0.0, log_e + log(2)))
