"""What the events of circuits, their policy and the off switch mean."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hotswap_events.envelope import Envelope
from hotswap_events.serving.control import (
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    ModelDisabled,
    ModelEnabled,
    ServingPolicySet,
)
from hotswap_stream.domain.deciding.contradiction import IllegalEventError, known_version
from hotswap_stream.domain.serving.route import circuit_of
from hotswap_stream.domain.state.circuits import CircuitPosition, CircuitState
from hotswap_stream.domain.state.model import ModelState


def reset_circuit(state: ModelState, model_version: str) -> None:
    """The version enters production: what was measured before says nothing about it now."""
    circuits = state.serving.circuits
    if model_version in circuits:
        kept = {name: circuit for name, circuit in circuits.items() if name != model_version}
        state.serving = replace(state.serving, circuits=kept)


def _policy_set(state: ModelState, data: ServingPolicySet, _event: Envelope) -> None:
    if data.policy.fallback_version is not None:
        known_version(state, data.policy.fallback_version)
    state.serving = replace(state.serving, policy=data.policy)


def _opened(state: ModelState, data: CircuitOpened, event: Envelope) -> None:
    circuit = _circuit(state, data.model_version, "closed", "half-open")
    _move(
        state,
        data.model_version,
        CircuitState("open", event.sequence, event.time, data.cause, circuit.openings + 1),
    )


def _half_opened(state: ModelState, data: CircuitHalfOpened, event: Envelope) -> None:
    circuit = _circuit(state, data.model_version, "open")
    _move(state, data.model_version, replace(circuit, position="half-open", since_sequence=event.sequence))


def _closed(state: ModelState, data: CircuitClosed, event: Envelope) -> None:
    circuit = _circuit(state, data.model_version, "open", "half-open")
    _move(state, data.model_version, replace(circuit, position="closed", since_sequence=event.sequence))


def _circuit(state: ModelState, model_version: str, *expected: CircuitPosition) -> CircuitState:
    circuit = circuit_of(state, known_version(state, model_version))
    if circuit.position not in expected:
        raise IllegalEventError(f"the circuit of {model_version!r} is {circuit.position}, not {' or '.join(expected)}")
    return circuit


def _move(state: ModelState, model_version: str, circuit: CircuitState) -> None:
    state.serving = replace(state.serving, circuits={**state.serving.circuits, model_version: circuit})


def _disabled(state: ModelState, _data: ModelDisabled, event: Envelope) -> None:
    if state.serving.disabled:
        raise IllegalEventError(f"model {state.model_name!r} is disabled already")
    state.serving = replace(state.serving, disabled_sequence=event.sequence, disabled_reason=event.reason)


def _enabled(state: ModelState, _data: ModelEnabled, _event: Envelope) -> None:
    if not state.serving.disabled:
        raise IllegalEventError(f"model {state.model_name!r} is not disabled")
    state.serving = replace(state.serving, disabled_sequence=None, disabled_reason=None)


SERVING_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    ServingPolicySet: _policy_set,
    CircuitOpened: _opened,
    CircuitHalfOpened: _half_opened,
    CircuitClosed: _closed,
    ModelDisabled: _disabled,
    ModelEnabled: _enabled,
}
