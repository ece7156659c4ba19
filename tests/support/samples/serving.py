"""Sample commands and events of circuits, their policy and the off switch, on the sample model."""

from typing import Any

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
    CircuitClosedCause,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitOpenedCause,
    ModelDisabled,
    ModelEnabled,
    ServingPolicy,
    ServingPolicySet,
)
from tests.support.samples.registry import MODEL, CountingIds

_command_ids = CountingIds("serving-command")

STRICT = ServingPolicy(
    error_rate_max=0.01,
    latency_ms_max=50.0,
    slow_share_max=0.05,
    window_seconds=60.0,
    window_answers_max=1_000,
    answers_min=100,
    open_seconds=10.0,
    probes=20,
    probe_share=0.05,
    fallback="version",
    fallback_version="v1",
)
FAIL_FAST = ServingPolicy(fallback="none")
FIGURES = {"error_rate": 0.75, "error_rate_max": 0.5, "answers": 80.0}


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    given = {"actor": "alice", "model_name": MODEL, **attributes}
    if "command_id" not in given:
        given["command_id"] = _command_ids.new_id()
    return given


def set_serving_policy(policy: ServingPolicy = STRICT, **attributes: Any) -> SetServingPolicy:
    return SetServingPolicy(policy=policy, **_attributes(attributes))


def open_circuit(model_version: str, cause: CircuitOpenedCause = "operator", **attributes: Any) -> OpenCircuit:
    return OpenCircuit(model_version=model_version, cause=cause, **_attributes(attributes))


def half_open_circuit(model_version: str, **attributes: Any) -> HalfOpenCircuit:
    return HalfOpenCircuit(model_version=model_version, **_attributes(attributes))


def close_circuit(model_version: str, cause: CircuitClosedCause = "operator", **attributes: Any) -> CloseCircuit:
    return CloseCircuit(model_version=model_version, cause=cause, **_attributes(attributes))


def disable(**attributes: Any) -> DisableModel:
    return DisableModel(**_attributes(attributes))


def enable(**attributes: Any) -> EnableModel:
    return EnableModel(**_attributes(attributes))


def policy_set(policy: ServingPolicy = STRICT) -> ServingPolicySet:
    return ServingPolicySet(policy=policy)


def opened(model_version: str, cause: CircuitOpenedCause = "operator", **fields: Any) -> CircuitOpened:
    return CircuitOpened(model_version=model_version, cause=cause, **fields)


def half_opened(model_version: str) -> CircuitHalfOpened:
    return CircuitHalfOpened(model_version=model_version)


def closed(model_version: str, cause: CircuitClosedCause = "operator", **fields: Any) -> CircuitClosed:
    return CircuitClosed(model_version=model_version, cause=cause, **fields)


DESCRIBED: list[tuple[Any, str]] = [
    (
        policy_set(),
        "set the serving policy of digits: failures above 0.01 or answers over 50 ms above 0.05 of 100 or more answers "
        "in 60 s open a circuit for 10 s, then 20 probes; v1 stands in",
    ),
    (
        policy_set(FAIL_FAST),
        "set the serving policy of digits: failures above 0.5 of 50 or more answers in 30 s open a circuit for 30 s, "
        "then 10 probes; nothing stands in",
    ),
    (
        policy_set(ServingPolicy(error_rate_max=None)),
        "set the serving policy of digits: circuits open by hand alone; the former version stands in",
    ),
    (opened("v2"), "opened the circuit of v2 of digits (operator)"),
    (
        opened("v2", "error-rate", figures=FIGURES, worker="worker-1"),
        "opened the circuit of v2 of digits (error-rate, answers 80, error_rate 0.75, error_rate_max 0.5, by worker-1)",
    ),
    (half_opened("v2"), "half-opened the circuit of v2 of digits"),
    (closed("v2"), "closed the circuit of v2 of digits (reset by hand)"),
    (
        closed("v2", "probes-passed", figures={"probes_passed": 10.0}, worker="worker-1"),
        "closed the circuit of v2 of digits (its probes passed, by worker-1)",
    ),
    (ModelDisabled(), "disabled digits"),
    (ModelEnabled(), "enabled digits"),
]
"""Each kind of event at least once, and what it is in a few words."""
