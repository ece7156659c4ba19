"""What may happen to circuits, to their policy and to the off switch. Pure, as all rules."""

import math
from collections.abc import Callable
from typing import Any

from hotswap_events.commands import Refusal
from hotswap_events.serving.commands import (
    CloseCircuit,
    DisableModel,
    EnableModel,
    HalfOpenCircuit,
    OpenCircuit,
    SetServingPolicy,
)
from hotswap_events.serving.control import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    ModelDisabled,
    ModelEnabled,
    ServingPolicy,
    ServingPolicySet,
)
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.decision import Accepted, Decision, find_version, illegal, invalid
from hotswap_stream.domain.deciding.legal_steps import circuit_steps
from hotswap_stream.domain.rollouts.traffic import traffic
from hotswap_stream.domain.serving.route import circuit_of, fallback_of
from hotswap_stream.domain.serving.unanswered import (
    OPEN_DELIBERATELY,
    left_unanswered,
    opened,
    refusal_to_open,
    under,
    why_nothing_stands_in,
)
from hotswap_stream.domain.state.circuits import CircuitState
from hotswap_stream.domain.state.model import ModelState, VersionState

ANSWERS_MAX = 10_000_000
SECONDS_MAX = 86_400.0
LATENCY_MS_MAX = 600_000.0
PROBES_MAX = 10_000
BATCH_SIZE_MAX = 65_536
BATCH_WAIT_MS_MAX = 10_000.0

_RANGES: tuple[tuple[str, float, float, str], ...] = (
    ("error_rate_max", 0.0, 1.0, "a share from 0 to 1, or none"),
    ("latency_ms_max", 0.001, LATENCY_MS_MAX, "milliseconds, at most 600,000, or none"),
    ("slow_share_max", 0.0, 1.0, "a share from 0 to 1"),
    ("window_seconds", 1.0, SECONDS_MAX, "seconds, from 1 to 86,400"),
    ("window_answers_max", 10, ANSWERS_MAX, "answers, from 10 to 10,000,000"),
    ("answers_min", 1, ANSWERS_MAX, "answers, from 1 to 10,000,000"),
    ("open_seconds", 0.1, SECONDS_MAX, "seconds, from 0.1 to 86,400"),
    ("probes", 1, PROBES_MAX, "requests, from 1 to 10,000"),
    ("probe_share", 0.0001, 1.0, "a share from 0.0001 to 1"),
    ("batch_size_max", 1, BATCH_SIZE_MAX, "requests, from 1 to 65,536, or none"),
    ("batch_wait_ms_max", 0.0, BATCH_WAIT_MS_MAX, "milliseconds, from 0 to 10,000, or none"),
)


def wrong_policy(policy: ServingPolicy) -> str | None:
    """Return why the policy cannot hold, or None."""
    for name, low, high, right in _RANGES:
        value = getattr(policy, name)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            return f"{name} is {value}; {right}"
    if policy.answers_min > policy.window_answers_max:
        return (
            f"answers_min is {policy.answers_min}, window_answers_max {policy.window_answers_max}: the window could "
            "never hold enough answers"
        )
    if policy.fallback == "version" and policy.fallback_version is None:
        return "fallback is 'version': say in fallback_version which"
    if policy.fallback != "version" and policy.fallback_version is not None:
        return f"fallback is {policy.fallback!r}: fallback_version {policy.fallback_version!r} needs fallback 'version'"
    return None


def _set_policy(state: ModelState, command: SetServingPolicy) -> Decision:
    policy = command.policy
    if wrong := wrong_policy(policy):
        return invalid(wrong)
    if policy == state.serving.policy:
        return Accepted((), "this serving policy holds already")
    if policy.fallback_version is not None:
        version = find_version(state, policy.fallback_version)
        if isinstance(version, Refusal):
            return version
        if version.stage == "archived":
            return illegal(state, version, "is archived, and so no fallback")
    after = under(state, policy)
    if unanswered := left_unanswered(state, after):
        return _refusal_of_policy(after, unanswered[0])
    return Accepted((ServingPolicySet(policy=policy),), _missing_fallback(after))


def _refusal_of_policy(after: ModelState, unanswered: str) -> Refusal:
    return Refusal(
        code="illegal-step",
        reason=f"the circuit of {unanswered!r} of {after.model_name!r} is not closed, and under this policy nothing "
        f"would answer for it: {why_nothing_stands_in(after, unanswered)}; reset its circuit first, or disable the "
        "model",
        legal=("reset circuit", "disable"),
    )


def _missing_fallback(after: ModelState) -> str | None:
    """Return what whoever sets a policy should know where nothing could stand in for the active version, or None."""
    active = after.active_version
    if active is None or after.serving.effective_policy.fallback == "none" or fallback_of(after, active) is not None:
        return None
    return f"nothing could stand in for {active} now: {why_nothing_stands_in(after, active)}"


def _open(state: ModelState, command: OpenCircuit) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if wrong := _wrong_measurement(command):
        return invalid(wrong)
    circuit = circuit_of(state, version)
    if circuit.position == "open":
        return Accepted((), f"the circuit of {version.model_version!r} is open already")
    if stale := _stale(command, version, circuit):
        return stale
    if version.stage == "archived":
        return illegal(state, version, "is archived: it answers nothing that a circuit could keep from it")
    if command.cause == "probe-failed" and circuit.position != "half-open":
        return _illegal(state, version, circuit, "there are no probes that could have failed")
    may_refuse_all = command.cause == "operator" or state.serving.effective_policy.fallback == "none"
    if circuit.position == "closed" and not may_refuse_all and fallback_of(state, version.model_version) is None:
        return Accepted((), f"no version can take over from {version.model_version!r}: its circuit stays closed")
    after = opened(state, version)
    silent = command.cause == "operator" and not command.without_fallback
    if silent and (unanswered := left_unanswered(state, after)):
        return refusal_to_open(state, version, unanswered)
    return Accepted(
        (
            CircuitOpened(
                model_version=version.model_version, cause=command.cause, figures=command.figures, worker=command.worker
            ),
        ),
        _standing_in(after, version),
    )


def _standing_in(after: ModelState, version: VersionState) -> str | None:
    """Return what answers for a version whose circuit is open; None: it would have answered nothing."""
    name = version.model_version
    if name not in {arm.model_version for arm in traffic(after).arms}:
        return None
    fallback = fallback_of(after, name)
    if fallback is None:
        return (
            f"nothing answers for {name}: {why_nothing_stands_in(after, name)}; its requests get the error circuit-open"
        )
    return f"{fallback} answers for {name}"


def _half_open(state: ModelState, command: HalfOpenCircuit) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    circuit = circuit_of(state, version)
    if circuit.position == "half-open":
        return Accepted((), f"the circuit of {version.model_version!r} is half-open already")
    if stale := _stale(command, version, circuit):
        return stale
    if circuit.position == "closed":
        return _illegal(state, version, circuit, "only an open one can be tried")
    return Accepted((CircuitHalfOpened(model_version=version.model_version),))


def _close(state: ModelState, command: CloseCircuit) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if wrong := _wrong_measurement(command):
        return invalid(wrong)
    circuit = circuit_of(state, version)
    if circuit.position == "closed":
        return Accepted((), f"the circuit of {version.model_version!r} is closed already")
    if stale := _stale(command, version, circuit):
        return stale
    if command.cause == "probes-passed" and circuit.position != "half-open":
        return _illegal(state, version, circuit, "there are no probes that could have passed")
    return Accepted(
        (
            CircuitClosed(
                model_version=version.model_version, cause=command.cause, figures=command.figures, worker=command.worker
            ),
        )
    )


def _wrong_measurement(command: OpenCircuit | CloseCircuit) -> str | None:
    return limits.wrong_figures("figures", command.figures) or limits.wrong_texts("circuit", {"worker": command.worker})


def _stale(
    command: OpenCircuit | HalfOpenCircuit | CloseCircuit, version: VersionState, circuit: CircuitState
) -> Refusal | None:
    if command.since_sequence in (None, circuit.since_sequence):
        return None
    return Refusal(
        code="conflict",
        reason=f"asked about the circuit of {version.model_version!r} as of sequence {command.since_sequence}, but it "
        f"is {circuit.position} since {circuit.since_sequence}",
    )


def _illegal(state: ModelState, version: VersionState, circuit: CircuitState, problem: str) -> Refusal:
    legal = tuple(_accepted_as(step, state, version) for step in circuit_steps(version, circuit.position))
    return Refusal(
        code="illegal-step",
        reason=f"the circuit of {version.model_version!r} of {state.model_name!r} is {circuit.position}; {problem}; "
        f"legal: {', '.join(legal) or 'nothing'}",
        legal=legal,
    )


def _accepted_as(step: str, state: ModelState, version: VersionState) -> str:
    """Return the step as it would be accepted."""
    if step == "open circuit" and left_unanswered(state, opened(state, version)):
        return OPEN_DELIBERATELY
    return step


def _disable(state: ModelState, _command: DisableModel) -> Decision:
    if state.serving.disabled:
        return Accepted((), f"{state.model_name!r} is disabled already")
    return Accepted((ModelDisabled(),))


def _enable(state: ModelState, _command: EnableModel) -> Decision:
    if not state.serving.disabled:
        return Accepted((), f"{state.model_name!r} is enabled already")
    return Accepted((ModelEnabled(),))


SERVING_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    SetServingPolicy: _set_policy,
    OpenCircuit: _open,
    HalfOpenCircuit: _half_open,
    CloseCircuit: _close,
    DisableModel: _disable,
    EnableModel: _enable,
}
