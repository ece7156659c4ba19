"""Many simulated comparisons of two arms at once: `RateComparison` in numpy, step for step (a test compares them)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hotswap_stream.domain.statistics import block_bets
from hotswap_stream.domain.statistics.rates import NINE_OF_TEN, REACHES, SHARES
from hotswap_stream.domain.statistics.samples import Counts
from hotswap_stream.domain.statistics.strata import STRATUM_MIN

Array = NDArray[np.float64]

_EDGE = block_bets._EDGE
_STAKE_MAX = block_bets._STAKE_MAX


class Comparisons:
    """`runs` comparisons side by side; every observation may close a block in some of them."""

    def __init__(self, runs: int, margin: float, before: Counts = NINE_OF_TEN) -> None:
        reaches = np.array(REACHES) * margin
        self._tests = {
            "worse": (0.0, -reaches),
            "not_worse": (-margin, -margin + reaches),
            "better": (0.0, reaches),
        }
        self.logs = {name: np.zeros((runs, len(REACHES))) for name in self._tests}
        self.highest = {name: np.zeros(runs) for name in self._tests}
        self._open = np.zeros((4, runs))  # successes and trials of the baseline, then of the candidate
        self._past = np.tile([[float(before.successes)], [float(before.trials)]], (1, runs))

    def observe(self, of_candidate: NDArray[np.bool_], success: NDArray[np.bool_]) -> None:
        """Take one answer of each run."""
        self._open[0] += ~of_candidate & success
        self._open[1] += ~of_candidate
        self._open[2] += of_candidate & success
        self._open[3] += of_candidate
        (closing,) = np.nonzero((self._open[1] >= STRATUM_MIN) & (self._open[3] >= STRATUM_MIN))
        if not closing.size:
            return
        block = self._open[:, closing, None]
        level = (self._past[0, closing] / self._past[1, closing])[:, None]
        for name, (null, alternatives) in self._tests.items():
            self.logs[name][closing] += _log_block_e(block, level, null, alternatives)
            mixed = np.logaddexp.reduce(self.logs[name][closing] + np.log(SHARES), axis=1)
            self.highest[name][closing] = np.maximum(self.highest[name][closing], mixed)
        self._past[:, closing] += self._open[:2, closing]
        self._open[:, closing] = 0


def _log_block_e(block: Array, level: Array, null: float, alternatives: Array) -> Array:
    """Do as `block_bets.log_block_e`, for many blocks and alternatives."""
    baseline_successes, baseline, candidate_successes, candidate = block
    level = np.clip(level, _EDGE, 1 - _EDGE)
    reached = np.minimum(level + 0.75 * (1 - level), np.maximum(0.25 * level, level + alternatives))
    gap = reached - level - null
    lowest, highest = max(_EDGE, _EDGE - null), min(1 - _EDGE, 1 - _EDGE - null)
    at_baseline = np.clip(level + candidate / (baseline + candidate) * gap, lowest, highest)
    for _step in range(3 if null else 0):
        spread_baseline = at_baseline * (1 - at_baseline) / baseline
        spread_candidate = (at_baseline + null) * (1 - at_baseline - null) / candidate
        at_baseline = np.clip(level + gap * spread_baseline / (spread_baseline + spread_candidate), lowest, highest)
    at_candidate = at_baseline + null
    spread = at_baseline * (1 - at_baseline) / baseline + at_candidate * (1 - at_candidate) / candidate
    stake = np.clip(
        gap / spread,
        -_STAKE_MAX * np.minimum(candidate / (1 - at_candidate), baseline / at_baseline),
        _STAKE_MAX * np.minimum(candidate / at_candidate, baseline / (1 - at_baseline)),
    )
    on_candidate, on_baseline = stake / candidate, stake / baseline
    log_e: Array = (
        candidate_successes * np.log1p(on_candidate * (1 - at_candidate))
        + (candidate - candidate_successes) * np.log1p(-on_candidate * at_candidate)
        + baseline_successes * np.log1p(-on_baseline * (1 - at_baseline))
        + (baseline - baseline_successes) * np.log1p(on_baseline * at_baseline)
    )
    return np.where(gap * (alternatives - null) > 0, log_e, 0.0)


def fixed_size(baseline_rate: float, candidate_rate: float, share: float) -> float:
    """Return how many answers (of both arms) a two-sided z-test at 0.05, looked at once, needs for a power of 80 %."""
    variances = baseline_rate * (1 - baseline_rate) / (1 - share) + candidate_rate * (1 - candidate_rate) / share
    return float((1.959964 + 0.841621) ** 2 * variances / (baseline_rate - candidate_rate) ** 2)


def result(**facts: Any) -> dict[str, object]:
    """Return a benchmark's result, with its figures rounded."""
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in facts.items()}
