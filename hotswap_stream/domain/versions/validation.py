"""The verdict on a version that was measured on a fixed validation set."""

import math
from collections.abc import Mapping

from msgspec import Struct

from hotswap_events.registry.events import Verdict
from hotswap_events.validation.policy import GATES_MAX, FigureGate
from hotswap_events.validation.policy import ValidationPolicy as ValidationPolicy
from hotswap_stream.domain.versions.metrics import COMPARING_FIGURES, known_metric

DEFAULT_VALIDATION_POLICY = ValidationPolicy()

_ROUNDING = 1e-9
"""0.95 − 0.05 is not 0.9 in binary; a version exactly on the line passes."""

_BADNESS: dict[Verdict, int] = {"passed": 0, "inconclusive": 1, "failed": 2}

Figures = Mapping[str, float]


class Judgement(Struct, frozen=True):
    """A verdict that gates alone drew, and in words what held the version back; no words where nothing did."""

    verdict: Verdict
    because: str | None = None


def judge(policy: ValidationPolicy, figures: Figures, baseline_figures: Figures | None) -> Verdict:
    """Return the verdict from the candidate's and the active version's figures: the worst of accuracy and all gates.

    Raises:
        KeyError: A figure is missing; `missing_figure` says which.
    """
    outside = (gate.otherwise for gate in policy.gates if _broken_bounds(gate, figures, baseline_figures))
    verdicts = [_by_accuracy(policy, figures["accuracy"], baseline_figures), *outside]
    return max(verdicts, key=_BADNESS.__getitem__)


def judge_by_gates(policy: ValidationPolicy, figures: Figures, baseline_figures: Figures | None) -> Judgement:
    """Return the verdict on a version of a model that is no classifier, so that there is no accuracy to go by.

    Where no gate says anything of it, a person decides.

    Raises:
        KeyError: A figure is missing; `missing_figure` says which.
    """
    broken = [(gate, found) for gate in policy.gates if (found := _broken_bounds(gate, figures, baseline_figures))]
    if broken:
        verdict = max((gate.otherwise for gate, _ in broken), key=_BADNESS.__getitem__)
        return Judgement(verdict, "; ".join(words for _, found in broken for words in found))
    if any(_applies(gate, baseline_figures) for gate in policy.gates):
        return Judgement("passed")
    if policy.gates:
        return Judgement(
            "inconclusive",
            "the gates of the validation policy compare with an active version, and none is active: promote it if you "
            "have looked at its figures, or add gates with a threshold",
        )
    return Judgement(
        "inconclusive",
        "the validation policy has no gates, and without accuracy only gates can let a version pass: set some with "
        "`hotswap-stream validation-policy set`, such as figure rmse, better lower, relative_margin 0.05; or promote "
        "it if you have looked at its figures",
    )


def _by_accuracy(policy: ValidationPolicy, accuracy: float, baseline_figures: Figures | None) -> Verdict:
    if baseline_figures is None:
        return "passed" if accuracy >= policy.first_accuracy_min - _ROUNDING else "failed"
    baseline = baseline_figures["accuracy"]
    if accuracy >= baseline - policy.pass_margin - _ROUNDING:
        return "passed"
    if accuracy < baseline - policy.fail_margin - _ROUNDING:
        return "failed"
    return "inconclusive"


def _applies(gate: FigureGate, baseline_figures: Figures | None) -> bool:
    """Return whether a gate can hold anything back: margins need an active version, and so do figures that compare."""
    return baseline_figures is not None or (gate.threshold is not None and gate.figure not in COMPARING_FIGURES)


def _broken_bounds(gate: FigureGate, figures: Figures, baseline_figures: Figures | None) -> list[str]:
    """Return in words each bound of the gate that the version is outside of."""
    if not _applies(gate, baseline_figures):
        return []
    value, sign = figures[gate.figure], 1.0 if gate.better == "higher" else -1.0
    bounds: list[tuple[str, float]] = []
    if gate.threshold is not None:
        bounds.append(("", gate.threshold))
    if baseline_figures is not None and (gate.margin, gate.relative) != (None, None):
        baseline = baseline_figures[gate.figure]
        beside = f" beside {baseline:.6g} of the active version"
        if gate.margin is not None:
            bounds.append((beside, baseline - sign * gate.margin))
        if gate.relative is not None:
            bounds.append((beside, baseline - sign * gate.relative * abs(baseline)))
    edge = "at least" if gate.better == "higher" else "at most"
    return [
        f"{gate.figure} is {value:.6g}; {edge} {bound:.6g} is allowed{beside}"
        for beside, bound in bounds
        if sign * value < sign * bound - _ROUNDING
    ]


def missing_figure(policy: ValidationPolicy, figures: Figures, baseline_figures: Figures | None) -> str | None:
    """Return what the policy's gates need and was not handed in, or None."""
    for gate in policy.gates:
        if gate.figure not in figures and (gate.figure not in COMPARING_FIGURES or baseline_figures is not None):
            return f"figures need {gate.figure!r}: the model's validation policy has a gate on it"
        margins = gate.margin is not None or gate.relative is not None
        if margins and baseline_figures is not None and gate.figure not in baseline_figures:
            return f"baseline_figures need {gate.figure!r}: the model's validation policy has a margin on it"
    return None


def wrong_validation_policy(policy: ValidationPolicy) -> str | None:
    """Return why this cannot be a policy, or None."""
    if policy.fail_margin < policy.pass_margin:
        return f"fail_margin {policy.fail_margin} is below pass_margin {policy.pass_margin}: what passes would fail"
    if len(policy.gates) > GATES_MAX:
        return f"{len(policy.gates)} gates; 0 to {GATES_MAX} are allowed"
    for gate in policy.gates:
        if wrong := _wrong_gate(gate):
            return f"gate on {gate.figure!r}: {wrong}"
    names = [gate.figure for gate in policy.gates]
    if len(set(names)) != len(names):
        return f"gates {', '.join(names)} name a figure twice"
    return None


def _wrong_gate(gate: FigureGate) -> str | None:
    margins = (gate.margin, gate.relative)
    bounds = [bound for bound in (gate.threshold, *margins) if bound is not None]
    if not bounds:
        return "a threshold or a margin is needed"
    if not all(math.isfinite(bound) for bound in bounds):
        return "a finite number is needed"
    if gate.figure in COMPARING_FIGURES and margins != (None, None):
        return "it compares with the active version by itself; give a threshold"
    known = known_metric(gate.figure)
    if known is not None and known.better != gate.better:
        return f"{known.better} is better there; give better = {known.better!r}"
    return None
