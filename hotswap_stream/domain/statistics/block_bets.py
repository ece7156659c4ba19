"""Evidence from one block of answers of two arms: an exact bet against "the rates differ by at most so much".

A block has `n` answers of each arm, fixed before their outcomes are seen. With λ the stakes,

    E = Π over the candidate's outcomes x (1 + λc (x − θc)) · Π over the baseline's (1 − λb (x − θb))

with λc nc = λb nb = η has, because log(1 + y) ≤ y, an expectation of at most exp(η (pc − pb − (θc − θb))), whatever the
true rates pc and pb are. So with θc − θb = d0 it is at most 1 wherever pc − pb ≤ d0 (η ≥ 0), or pc − pb ≥ d0 (η ≤ 0):
an e-value, exact for blocks of any size, in any mixture of the arms. Blocks multiply. Nothing is asked of the common
level of the rates, which may change from block to block, and θ and η may be chosen by all that was seen before the
block.

The choice that grows fastest if a certain alternative is true is the likelihood ratio to the nearest point of the null:
R. J. Turner, A. Ly and P. D. Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
stopping", 2024; R. J. Turner and P. D. Grünwald, "Exact anytime-valid confidence intervals for contingency tables and
beyond", 2023. Here the baseline's rate comes from the blocks before, and the difference from the caller.
"""

from math import log1p

from hotswap_stream.domain.statistics.samples import Counts

_EDGE = 1e-9
_STAKE_MAX = 0.95
"""Share of the stake that would lose everything on one answer."""


def log_block_e(baseline: Counts, candidate: Counts, level: float, null: float, alternative: float) -> float:
    """Return the log e-value of a block against the differences (candidate − baseline) from `null` on.

    Args:
        baseline: The baseline's answers in the block; at least one.
        candidate: The candidate's; at least one.
        level: The baseline's rate as known before the block.
        null: Where the differences that are doubted begin; they go on away from `alternative`.
        alternative: The difference that is bet on.
    """
    level_then = min(1 - _EDGE, max(_EDGE, level))
    # The candidate's rate stays inside: at most three quarters of the way to where all answers are alike.
    reached = min(level_then + 0.75 * (1 - level_then), max(0.25 * level_then, level_then + alternative))
    gap = reached - level_then - null
    if gap * (alternative - null) <= 0:
        return 0.0
    share = candidate.trials / (baseline.trials + candidate.trials)
    lowest, highest = max(_EDGE, _EDGE - null), min(1 - _EDGE, 1 - _EDGE - null)
    at_baseline = min(highest, max(lowest, level_then + share * gap))
    if null:  # without a margin the nearest point is the average; with one, the weights depend on where it lies
        for _step in range(3):
            spread_baseline = at_baseline * (1 - at_baseline) / baseline.trials
            spread_candidate = (at_baseline + null) * (1 - at_baseline - null) / candidate.trials
            move = gap * spread_baseline / (spread_baseline + spread_candidate)
            at_baseline = min(highest, max(lowest, level_then + move))
    at_candidate = at_baseline + null
    spread = at_baseline * (1 - at_baseline) / baseline.trials + at_candidate * (1 - at_candidate) / candidate.trials
    stake = gap / spread
    # No single outcome may lose more than all: each factor below stays positive.
    if stake > 0:
        most = min(candidate.trials / at_candidate, baseline.trials / (1 - at_baseline))
        stake = min(stake, _STAKE_MAX * most)
    else:
        most = min(candidate.trials / (1 - at_candidate), baseline.trials / at_baseline)
        stake = max(stake, -_STAKE_MAX * most)
    on_candidate, on_baseline = stake / candidate.trials, stake / baseline.trials
    return (
        candidate.successes * log1p(on_candidate * (1 - at_candidate))
        + candidate.failures * log1p(-on_candidate * at_candidate)
        + baseline.successes * log1p(-on_baseline * (1 - at_baseline))
        + baseline.failures * log1p(on_baseline * at_baseline)
    )
