"""Which version answers a model's requests, given its active version, its circuits and its off switch. Pure."""

from typing import Literal

from msgspec import Struct

from hotswap_stream.domain.state.circuits import CircuitState
from hotswap_stream.domain.state.model import ModelState, VersionState

RefusedBecause = Literal["no-active-version", "model-disabled", "circuit-open"]


class Route(Struct, frozen=True, gc=False):
    """Where requests go that ask for no particular version."""

    answered_by: str | None
    """None: they are refused."""
    fallback_for: str | None = None
    """The version that should have answered, while another one answers for it."""
    probed: str | None = None
    """The version that gets some of the requests as probes: the one that should answer, while its circuit is
    half-open."""
    refused_because: RefusedBecause | None = None


def route(state: ModelState) -> Route:
    """Return the route in this state. The same for every process that has folded the log up to here."""
    return route_to(state, state.active_version)


def route_to(state: ModelState, model_version: str | None) -> Route:
    """Return the route of requests that this version should answer: the active one, or an arm of a rollout."""
    serving = state.serving
    if serving.disabled:
        return Route(None, refused_because="model-disabled")
    circuit = None if model_version is None else serving.circuits.get(model_version)
    if model_version is None or circuit is None or circuit.position == "closed":
        return plain_route(model_version)
    probed = model_version if circuit.position == "half-open" else None
    fallback = fallback_of(state, model_version)
    if fallback is None:
        return Route(None, probed=probed, refused_because="circuit-open")
    return Route(fallback, fallback_for=model_version, probed=probed)


def plain_route(model_version: str | None) -> Route:
    """Return the route while nothing stands in the version's way."""
    if model_version is None:
        return Route(None, refused_because="no-active-version")
    return Route(model_version)


def fallback_of(state: ModelState, model_version: str) -> str | None:
    """What would answer in this version's place: for the active one as the policy says, for any other the active one.

    None if there is nothing, or if its own circuit is not closed.
    """
    policy = state.serving.effective_policy
    name: str | None
    if model_version != state.active_version:
        name = state.active_version
    elif policy.fallback == "former":
        name = state.former_version
    else:
        name = policy.fallback_version if policy.fallback == "version" else None
    if name is None or name == model_version or state.versions[name].stage == "archived":
        return None
    return name if circuit_of(state, state.versions[name]).position == "closed" else None


def circuit_of(state: ModelState, version: VersionState) -> CircuitState:
    """Return the circuit of a version; closed since its registration or last promotion if it never moved."""
    circuit = state.serving.circuits.get(version.model_version)
    if circuit is not None:
        return circuit
    return CircuitState(since_sequence=max(version.registered_sequence, *version.production_sequences[-1:], 0))
