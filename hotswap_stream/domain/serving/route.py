"""Which version answers a model's requests, given its active version, its circuits and its off switch. Pure."""

from typing import Literal

from msgspec import Struct

from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.standing_in import circuit_of as circuit_of
from hotswap_stream.domain.state.standing_in import fallback_of as fallback_of

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
