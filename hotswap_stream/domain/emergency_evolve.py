"""What the events mean that contradict no state: see `hotswap_events.registry.emergency`. They never raise."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hotswap_events.envelope import Envelope
from hotswap_events.registry.emergency import ModelSetBack, ModelShutOff
from hotswap_stream.domain.rollouts.evolve import supersede_rollout
from hotswap_stream.domain.serving.evolve import reset_circuit
from hotswap_stream.domain.state.model import ModelState


def _set_back(state: ModelState, data: ModelSetBack, event: Envelope) -> None:
    version = state.versions.get(data.model_version)
    if version is None or version.artifact.digest != data.artifact_digest or version.artifact_deleted:
        return
    supersede_rollout(state, event)
    active = state.active
    if active is version:
        return
    back = active is not None and data.from_version == active.model_version
    state.rolled_back_from = data.from_version if back else None
    if active is not None:
        active.stage = "archived" if back else "superseded"
    version.stage = "production"
    version.production_sequences += (event.sequence,)
    version.deployed_at = event.time
    version.deployed_by = event.actor
    version.approved_by = None
    state.active_version = data.model_version
    state.production_history.append(data.model_version)
    reset_circuit(state, data.model_version)


def _shut_off(state: ModelState, _data: ModelShutOff, event: Envelope) -> None:
    if not state.serving.disabled:
        state.serving = replace(state.serving, disabled_sequence=event.sequence, disabled_reason=event.reason)


EMERGENCY_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    ModelSetBack: _set_back,
    ModelShutOff: _shut_off,
}
