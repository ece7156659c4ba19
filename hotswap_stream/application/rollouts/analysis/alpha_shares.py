"""How a policy's alpha is shared among its tests, so that all of them together err by no more than it."""

from hotswap_events.rollouts.strategy import RolloutPolicy
from hotswap_stream.domain.statistics.judgement import alpha_per_metric

HARM_OF_ALL = 0.8
"""Part of alpha for harm since the start; the rest is for harm that only shows since a later phase began."""


def tests_alpha(policy: RolloutPolicy, candidates: int) -> float:
    """Return what each test of a policy may err by, so that all together err by its alpha."""
    count = sum(
        (rule.margin is not None or rule.relative is not None) + (rule.threshold is not None) for rule in policy.metrics
    )
    return alpha_per_metric(policy.alpha, max(1, count) * max(1, candidates))


def phase_harm_alpha(alpha: float, phase_number: int) -> float:
    """Return what harm that only shows since phase 2, 3 … began may err by; 0.0 in the first phase.

    The parts of all phases add up to what harm since the start leaves.
    """
    return alpha * (1 - HARM_OF_ALL) / ((phase_number - 1) * phase_number) if phase_number > 1 else 0.0
