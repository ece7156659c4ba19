"""Which version would answer in another one's place, and the circuits that this hangs on."""

from copy import copy

from hotswap_stream.domain.state.circuits import CircuitState
from hotswap_stream.domain.state.model import ModelState, VersionState


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


def leaves_unanswered(state: ModelState, version: VersionState) -> str | None:
    """Return the active version if this one alone answers for it, so that it must stay in play; None: it need not."""
    active = state.active
    if active is None or circuit_of(state, active).position == "closed":
        return None
    name = active.model_version
    if fallback_of(state, name) != version.model_version:
        return None
    gone = version.copy()
    gone.stage = "archived"
    after = copy(state)
    after.versions = {**state.versions, version.model_version: gone}
    return name if fallback_of(after, name) is None else None
