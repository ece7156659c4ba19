"""What people and dashboards ask about serving: which version answers and why, circuits, policy, off switch."""

from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.commands import Refusal
from hotswap_events.registry.state import CIRCUITS_LISTED_MAX, CircuitRecord
from hotswap_events.serving.control import ServingPolicy
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.application.registry.view import circuit_records
from hotswap_stream.domain.serving.route import RefusedBecause, circuit_of, fallback_of, route


class ServingView(Struct, frozen=True, kw_only=True):
    """One model's serving as of its last event."""

    model_name: str
    sequence: int
    active_version: str | None
    answered_by: str | None
    """The version that answers requests; null while they are refused."""
    fallback_for: str | None
    """The active version, while another one answers in its place."""
    probed: str | None
    """The version that gets some requests as probes, because its circuit is half-open."""
    refused_because: RefusedBecause | None
    """The error code of the answers while no version answers."""
    route_offset: Annotated[int, Meta(ge=0)] | None
    """Registry offset of the event that made it so: the one every answer names."""
    fallback_version: str | None
    """What would answer in the active version's place."""
    disabled: bool
    disabled_reason: str | None
    circuits: tuple[CircuitRecord, ...]
    """Circuits of the active version, and of all that moved since they last entered production."""
    policy: ServingPolicy
    policy_is_default: bool


def find_serving(streams: Streams, model_name: str) -> ServingView | Refusal:
    """Return how one model is served."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    state = stream.state
    way, serving, active = route(state), state.serving, state.active
    circuits = circuit_records(state, circuits_max=CIRCUITS_LISTED_MAX)
    if active is not None and active.model_version not in serving.circuits:
        closed = CircuitRecord(
            model_version=active.model_version,
            position="closed",
            since_sequence=circuit_of(state, active).since_sequence,
        )
        circuits = (closed, *circuits)
    return ServingView(
        model_name=state.model_name,
        sequence=state.sequence,
        active_version=state.active_version,
        answered_by=way.answered_by,
        fallback_for=way.fallback_for,
        probed=way.probed,
        refused_because=way.refused_because,
        route_offset=None if stream.route_offset < 0 else stream.route_offset,
        fallback_version=None if active is None else fallback_of(state, active.model_version),
        disabled=serving.disabled,
        disabled_reason=serving.disabled_reason,
        circuits=circuits,
        policy=serving.effective_policy,
        policy_is_default=serving.policy is None,
    )
