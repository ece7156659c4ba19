"""The verdict on a version that was measured on a fixed validation set."""

import math
from collections.abc import Mapping

from hotswap_events.registry import Verdict
from hotswap_events.validation_policy import GATES_MAX, FigureGate
from hotswap_events.validation_policy import ValidationPolicy as ValidationPolicy

DEFAULT_VALIDATION_POLICY = ValidationPolicy()

_ROUNDING = 1e-9
"""0.95 − 0.05 is not 0.9 in binary; a version exactly on the line passes."""


AGREEMENT = "agreement"
"""A figure that exists only beside an active version."""

_BADNESS: dict[Verdict, int] = {"passed": 0, "inconclusive": 1, "failed": 2}


def judge(
    policy: ValidationPolicy, figures: Mapping[str, float], baseline_figures: Mapping[str, float] | None
) -> Verdict:
    """Return the verdict from the candidate's and the active version's figures: the worst of accuracy and all gates.

    Raises:
        KeyError: A figure is missing; `missing_figure` says which.
    """
    outside = (
        gate.otherwise
        for gate in policy.gates
        if (gate.figure != AGREEMENT or baseline_figures is not None) and not _holds(gate, figures, baseline_figures)
    )
    verdicts = [_by_accuracy(policy, figures["accuracy"], baseline_figures), *outside]
    return max(verdicts, key=_BADNESS.__getitem__)


def _by_accuracy(policy: ValidationPolicy, accuracy: float, baseline_figures: Mapping[str, float] | None) -> Verdict:
    if baseline_figures is None:
        return "passed" if accuracy >= policy.first_accuracy_min - _ROUNDING else "failed"
    baseline = baseline_figures["accuracy"]
    if accuracy >= baseline - policy.pass_margin - _ROUNDING:
        return "passed"
    if accuracy < baseline - policy.fail_margin - _ROUNDING:
        return "failed"
    return "inconclusive"


def _holds(gate: FigureGate, figures: Mapping[str, float], baseline_figures: Mapping[str, float] | None) -> bool:
    sign = 1.0 if gate.better == "higher" else -1.0
    value = sign * figures[gate.figure]
    if gate.threshold is not None and value < sign * gate.threshold - _ROUNDING:
        return False
    if gate.margin is None or baseline_figures is None:
        return True
    return value >= sign * baseline_figures[gate.figure] - gate.margin - _ROUNDING


def missing_figure(
    policy: ValidationPolicy, figures: Mapping[str, float], baseline_figures: Mapping[str, float] | None
) -> str | None:
    """Return what the policy's gates need and was not handed in, or None."""
    for gate in policy.gates:
        if gate.figure not in figures and (gate.figure != AGREEMENT or baseline_figures is not None):
            return f"figures need {gate.figure!r}: the model's validation policy has a gate on it"
        if gate.margin is not None and baseline_figures is not None and gate.figure not in baseline_figures:
            return f"baseline_figures need {gate.figure!r}: the model's validation policy has a margin on it"
    return None


def wrong_validation_policy(policy: ValidationPolicy) -> str | None:
    """Return why this cannot be a policy, or None."""
    if policy.fail_margin < policy.pass_margin:
        return f"fail_margin {policy.fail_margin} is below pass_margin {policy.pass_margin}: what passes would fail"
    if len(policy.gates) > GATES_MAX:
        return f"{len(policy.gates)} gates; 0 to {GATES_MAX} are allowed"
    for gate in policy.gates:
        if gate.threshold is None and gate.margin is None:
            return f"gate on {gate.figure!r}: a threshold or a margin is needed"
        if any(bound is not None and not math.isfinite(bound) for bound in (gate.threshold, gate.margin)):
            return f"gate on {gate.figure!r}: a finite number is needed"
        if gate.figure == AGREEMENT and gate.margin is not None:
            return "gate on 'agreement': it compares with the active version by itself; give a threshold"
    names = [gate.figure for gate in policy.gates]
    if len(set(names)) != len(names):
        return f"gates {', '.join(names)} name a figure twice"
    return None
