"""What a command is answered with: by the events it led to, or by the state in which there was nothing to do."""

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand, CommandResult, Refusal
from hotswap_events.registry.emergency import ModelSetBack
from hotswap_events.registry.events import ModelPromoted, ModelRolledBack, ModelTrained, RegistryEvent
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.domain.state.model import ModelState


def accepted(
    command: AnyCommand,
    events: tuple[RegistryEvent, ...],
    *,
    last_offset: int,
    sequence: int,
    note: str | None = None,
) -> CommandResult:
    """Return the result for events that were appended and count; `last_offset` and `sequence` are the last one's.

    `note` is what whoever asked should know beside.
    """
    previous: str | None = None
    version: str | None = getattr(command, "model_version", None)
    rollout_id: str | None = None
    for data in events:
        rollout_id = getattr(data, "rollout_id", rollout_id)
        if isinstance(data, ModelTrained):
            version = data.model_version
        elif isinstance(data, ModelPromoted):
            version, previous = data.model_version, data.previous_version
        elif isinstance(data, ModelRolledBack | ModelSetBack):
            version, previous = data.model_version, data.from_version
    return CommandResult(
        command_id=command.command_id,
        status="accepted",
        model_name=command.model_name,
        model_version=version,
        previous_version=previous,
        rollout_id=rollout_id,
        offset=last_offset,
        sequence=sequence,
        event_types=tuple(REGISTRY_CODEC.type_name(data) for data in events),
        detail=note,
    )


def unchanged(command: AnyCommand, stream: Stream | None, because: str | None) -> CommandResult:
    """Return the result for a command that had nothing to do, or was done before."""
    state = ModelState(command.model_name) if stream is None else stream.state
    return CommandResult(
        command_id=command.command_id,
        status="unchanged",
        model_name=command.model_name,
        model_version=getattr(command, "model_version", None) or state.active_version,
        offset=None if stream is None else stream.offset,
        sequence=state.sequence,
        detail=because,
    )


def refused(command: AnyCommand, refusal: Refusal) -> CommandResult:
    """Return the result for a command that is refused."""
    return CommandResult(
        command_id=command.command_id, status="refused", model_name=command.model_name, refusal=refusal
    )
