"""From evidence to what an analysis step of a rollout concludes.

Words as in Argo Rollouts: `successful` goes on, `failed` aborts, `inconclusive` (the budget is used up and nothing is
shown) asks a person; `running` waits for more answers.
"""

from collections.abc import Iterable
from typing import Literal

from hotswap_stream.domain.statistics.drift import DriftEvidence
from hotswap_stream.domain.statistics.evidence import Evidence

Outcome = Literal["successful", "failed", "inconclusive", "running"]


def judge_metric(
    evidence: Evidence | DriftEvidence, *, candidate_trials_min: int = 0, budget_used: bool = False
) -> Outcome:
    """Return what one metric's evidence concludes.

    Failed: shown to be worse, be it after the contrary was shown. Successful: shown not to be worse by the margin or
    more; that holds too where a harm smaller than the margin is shown, since the margin is what the policy gives up.
    Drift fails when it is found; that none is there cannot be shown, so none found in a used-up budget is successful.

    Args:
        evidence: What the metric's test shows now.
        candidate_trials_min: Answers of the candidate before it may be successful.
        budget_used: Whether no more answers and no more time will be spent.
    """
    if isinstance(evidence, DriftEvidence):
        if evidence.drifted:
            return "failed"
        enough = evidence.current_count >= max(1, candidate_trials_min)
        if budget_used:
            return "successful" if enough else "inconclusive"
        return "running"
    if evidence.contradicted:
        return "failed"
    if evidence.finds("not_worse"):
        if evidence.candidate_trials >= candidate_trials_min:
            return "successful"
    elif evidence.finds("worse"):
        return "failed"
    return "inconclusive" if budget_used else "running"


def judge_step(outcomes: Iterable[Outcome]) -> Outcome:
    """Return what a step concludes from all its metrics: one failure fails it, and it succeeds when all do.

    Each failure may be a false alarm, so give each metric `alpha_per_metric`.
    """
    every = list(outcomes)
    if "failed" in every:
        return "failed"
    if "running" in every:
        return "running"
    return "inconclusive" if "inconclusive" in every else "successful"


def alpha_per_metric(alpha: float, metric_count: int) -> float:
    """Return the alpha of each metric with which any of them errs with probability `alpha` at most (C.

    E. Bonferroni, 1936).
    """
    return alpha / max(1, metric_count)
