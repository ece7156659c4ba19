"""Two arms' success rates, compared after as many looks as one likes.

A fold: give it what was counted since the last time, in any portions. It keeps some forty numbers, however many answers
there were. Portions are gathered until both arms have `STRATUM_MIN` answers; each such block multiplies the evidence,
as in `block_bets`, for several differences at once, which are mixed (H. Robbins, 1970). Exact: no approximation for
large counts is involved, the rates may change over time, and so may the arms' shares.
"""

from math import exp, log

from msgspec import Struct
from msgspec.structs import replace

from hotswap_stream.domain.statistics.block_bets import log_block_e
from hotswap_stream.domain.statistics.evidence import Evidence, capped
from hotswap_stream.domain.statistics.normal_mixture import wrong_alpha
from hotswap_stream.domain.statistics.samples import Counts, cautious_variance
from hotswap_stream.domain.statistics.strata import STRATUM_MIN, Strata

REACHES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Differences that are bet on, in margins."""
SHARES = (0.05, 0.18, 0.60, 0.13, 0.04)
"""How much is put on each: most on a difference of one margin, for which the test is quickest."""

_LOG_SHARES = tuple(log(share) for share in SHARES)
NINE_OF_TEN = Counts(9, 10)
_NOTHING = (0.0,) * len(REACHES)


class RateComparison(Struct, frozen=True, kw_only=True):
    """Is the candidate's success rate worse than the baseline's, not worse by `margin`, or better?

    `margin` is a share of the answers: 0.05 is five points. It is what may be given up at most, and the size of
    difference that is found quickest. `before` is what the baseline answered before the rollout, as far as it is known:
    the closer it is to its true rate, the sooner the first answers count; a wrong one costs time, never truth. `alpha`
    is of the findings "worse" and "better" together. ValueError where one of them is out of range.
    """

    margin: float = 0.05
    alpha: float = 0.05
    before: Counts = NINE_OF_TEN
    baseline: Counts = Counts()
    candidate: Counts = Counts()
    open_baseline: Counts = Counts()
    open_candidate: Counts = Counts()
    worse: tuple[float, ...] = _NOTHING
    not_worse: tuple[float, ...] = _NOTHING
    better: tuple[float, ...] = _NOTHING
    log_e_worse: float = 0.0
    log_e_not_worse: float = 0.0
    log_e_better: float = 0.0
    strata: Strata = Strata()

    def __post_init__(self) -> None:
        wrong = wrong_alpha(self.alpha) or wrong_margin(self.margin)
        if not self.before.trials:
            wrong = wrong or "before has no trials; leave it out where nothing is known"
        if wrong:
            raise ValueError(wrong)

    def fold(self, baseline: Counts, candidate: Counts) -> "RateComparison":
        """Return the comparison with what was counted since the last fold.

        How it is portioned must not depend on the outcomes.
        """
        open_baseline, open_candidate = self.open_baseline + baseline, self.open_candidate + candidate
        if min(open_baseline.trials, open_candidate.trials) < STRATUM_MIN:
            return replace(self, open_baseline=open_baseline, open_candidate=open_candidate)
        level = (self.baseline + self.before).rate

        def grown(logs: tuple[float, ...], null: float, direction: float) -> tuple[float, ...]:
            alternatives = [null + direction * reach * self.margin for reach in REACHES]
            return tuple(
                log_e + log_block_e(open_baseline, open_candidate, level, null, alternative)
                for log_e, alternative in zip(logs, alternatives, strict=True)
            )

        worse = grown(self.worse, 0.0, -1.0)
        not_worse = grown(self.not_worse, -self.margin, 1.0)
        better = grown(self.better, 0.0, 1.0)
        return replace(
            self,
            baseline=self.baseline + open_baseline,
            candidate=self.candidate + open_candidate,
            open_baseline=Counts(),
            open_candidate=Counts(),
            worse=worse,
            not_worse=not_worse,
            better=better,
            log_e_worse=max(self.log_e_worse, _mixed(worse)),
            log_e_not_worse=max(self.log_e_not_worse, _mixed(not_worse)),
            log_e_better=max(self.log_e_better, _mixed(better)),
            strata=self.strata.with_stratum(
                open_baseline.trials, open_baseline.rate, open_candidate.trials, open_candidate.rate
            ),
        )

    def evidence(self) -> Evidence:
        """Return the evidence as of the last whole block.

        The interval is asymptotic and for reading; the findings are exact.
        """
        difference = self.strata.difference
        lower = upper = None
        if difference is not None:
            baseline, candidate = (
                cautious_variance(arm.successes, arm.trials) for arm in (self.baseline, self.candidate)
            )
            # Where the interval is to be narrow: as many answers as show a difference of one margin.
            tuned_weight = 9 * baseline / self.margin**2
            radius = self.strata.radius(baseline, candidate, self.alpha, tuned_weight)
            lower, upper = max(-1.0, difference - radius), min(1.0, difference + radius)
        return Evidence(
            method="rates: bets on blocks",
            estimate=difference,
            lower=lower,
            upper=upper,
            log_e_worse=capped(self.log_e_worse),
            log_e_not_worse=capped(self.log_e_not_worse),
            log_e_better=capped(self.log_e_better),
            alpha=self.alpha,
            margin=self.margin,
            baseline_trials=(self.baseline + self.open_baseline).trials,
            candidate_trials=(self.candidate + self.open_candidate).trials,
        )


def wrong_margin(margin: float) -> str | None:
    """Return why this cannot be the difference of two rates that may be given up, or None."""
    return None if 0 < margin < 1 else f"margin is {margin}; a share between 0 and 1 is needed: 0.05 is five points"


def _mixed(logs: tuple[float, ...]) -> float:
    weighted = [log_e + log_share for log_e, log_share in zip(logs, _LOG_SHARES, strict=True)]
    largest = max(weighted)
    return largest + log(sum(exp(each - largest) for each in weighted))
