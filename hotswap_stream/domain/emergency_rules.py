"""What stays possible after an event of a newer release: back to a version that served before, and off. Pure.

What is legal there cannot be told, so the events are those that contradict no state
(`hotswap_events.registry.emergency`).
"""

from typing import Any

from hotswap_events.commands import AnyCommand, Refusal, RollBack, SwitchVersion
from hotswap_events.registry.emergency import ModelSetBack, ModelShutOff
from hotswap_events.serving.commands import DisableModel
from hotswap_stream.domain.deciding.decision import Accepted, Decision
from hotswap_stream.domain.state.model import ModelState

STEPS = ("roll back", "switch to a version that served before", "disable")


def emergency(state: ModelState, command: AnyCommand) -> Decision | None:
    """Decide a command on a model of which not every event can be read; None: only a newer release may decide it."""
    if isinstance(command, DisableModel):
        return Accepted((ModelShutOff(),))
    if isinstance(command, RollBack):
        return _roll_back(state, command)
    version = state.versions.get(command.model_version) if isinstance(command, SwitchVersion) else None
    if version is None or not version.was_in_production or version.artifact_deleted:
        return None
    # Also where it is active, as far as this release can tell: it may not be.
    return Accepted((_set_back(state, version.model_version),))


def _roll_back(state: ModelState, command: RollBack) -> Decision | None:
    active, former = state.active_version, state.former_version
    if command.from_version is not None and command.from_version != active:
        return Refusal(
            code="conflict",
            reason=f"asked to roll back from {command.from_version!r}, but {active!r} is active as far as this release "
            "can tell; switch to the version that must serve",
        )
    if former is None:
        return None
    return Accepted((_set_back(state, former, from_version=active, cause=command.cause),))


def _set_back(state: ModelState, model_version: str, **fields: Any) -> ModelSetBack:
    digest = state.versions[model_version].artifact.digest
    return ModelSetBack(model_version=model_version, artifact_digest=digest, **fields)
