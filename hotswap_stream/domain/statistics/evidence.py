"""What a test says: an estimate, its interval, and how strongly each finding is supported."""

from math import exp, inf, log
from typing import Literal

from msgspec import Struct

Finding = Literal["worse", "not_worse", "better"]

LOG_E_MAX = 700.0
"""Evidence is cut off here, where a float ends; nobody needs more than e^700."""


class Evidence(Struct, frozen=True, kw_only=True):
    """What is shown of a candidate against its baseline, or against a fixed threshold. Higher is better in all of it.

    `estimate`, `lower` and `upper` are of the difference candidate − baseline (of the rate itself, against a
    threshold); a bound that is not known yet is None. `log_e_…` are natural logarithms, the highest so far: `worse`
    against "no worse than the baseline", `not_worse` against "worse by `margin` or more", `better` against "no better".
    Each finding is wrong with probability at most `alpha` / 2, however often one looks.
    """

    method: str
    estimate: float | None
    lower: float | None
    upper: float | None
    log_e_worse: float
    log_e_not_worse: float
    log_e_better: float
    alpha: float
    margin: float
    baseline_trials: int
    candidate_trials: int

    def finds(self, finding: Finding) -> bool:
        """Return whether the evidence is strong enough to say so."""
        return self._log_e(finding) >= log(2 / self.alpha)

    def findings(self) -> list[Finding]:
        """Return all that is shown; "worse" with "not_worse" means: worse, by less than the margin."""
        every: tuple[Finding, ...] = ("worse", "not_worse", "better")
        return [finding for finding in every if self.finds(finding)]

    @property
    def contradicted(self) -> bool:
        """Return whether "not worse" was found once, and what came since says the opposite.

        It is so where harm is found too and is not one within the margin: the whole interval lies beyond it, or there
        is no margin. A candidate whose answers became bad does not live on what it did before.
        """
        if not (self.finds("worse") and self.finds("not_worse")):
            return False
        return not self.margin or (self.upper is not None and self.upper < -self.margin)

    def p_value(self, finding: Finding) -> float:
        """Return the p-value. It is anytime-valid: it may be compared with alpha / 2 at any look."""
        return min(1.0, exp(-self._log_e(finding)))

    def _log_e(self, finding: Finding) -> float:
        if finding == "worse":
            return self.log_e_worse
        return self.log_e_not_worse if finding == "not_worse" else self.log_e_better


def finite(value: float) -> float | None:
    """Return the bound; None for an infinite one, which is not known and which JSON does not have."""
    return value if -inf < value < inf else None


def capped(log_e: float) -> float:
    """Return the log evidence within what a float can hold."""
    return max(-LOG_E_MAX, min(LOG_E_MAX, log_e))
