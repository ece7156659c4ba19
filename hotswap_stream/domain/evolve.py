"""`evolve(state, event) -> state`: what an event means. Pure and total over legal histories.

An event that extends its stream but contradicts the state (a hand-written record, a bug) raises `IllegalEventError`
and changes nothing; readers treat it as void, all alike, so no history can leave two active versions. That makes the
rules here part of the log's meaning: to change what is legal, give the event a new type name.

After an event of a newer release that must be understood nobody here can tell what is legal: what contradicts the
state then counts, and changes nothing but the sequence, so that this reader stays on the same chain as the newer ones.
"""

from collections.abc import Callable
from typing import Any

from hotswap_events.envelope import Envelope
from hotswap_events.log_stream import LOG_EVENT_TYPES
from hotswap_events.registry import (
    ModelArchived,
    ModelPromoted,
    ModelRolledBack,
    ModelStaged,
    ModelTrained,
    ModelValidated,
    TrainingFailed,
    TrainingStarted,
)
from hotswap_stream.domain.alerts.evolve import ALERT_HANDLERS
from hotswap_stream.domain.deciding.contradiction import IllegalEventError as IllegalEventError
from hotswap_stream.domain.deciding.contradiction import known_version
from hotswap_stream.domain.emergency_evolve import EMERGENCY_HANDLERS
from hotswap_stream.domain.rollouts.evolve import ROLLOUT_HANDLERS, check_entering_production, check_leaving
from hotswap_stream.domain.serving.evolve import SERVING_HANDLERS, reset_circuit
from hotswap_stream.domain.state.model import ModelState, RunState, Stage, VersionState
from hotswap_stream.domain.versions.profile_rules import PROFILE_HANDLERS


def evolve(state: ModelState, event: Envelope) -> ModelState:
    """The state after one more event of the model's stream; `state` itself is left alone."""
    after = state.copy()
    evolve_in_place(after, event)
    return after


def evolve_in_place(state: ModelState, event: Envelope) -> None:
    """`evolve` for the owner of the state. The caller has checked `sequence` and `previous`."""
    data = event.data
    try:
        _HANDLERS[type(data)](state, data, event)
    except IllegalEventError:
        if state.unknown_event_type is None:
            raise
    except Exception as error:
        if state.unknown_event_type is None:
            raise IllegalEventError(f"it cannot be folded: {type(error).__name__}: {error}") from error
    state.sequence = event.sequence
    state.command_ids.setdefault(event.causationid, event.sequence)


def evolve_unknown_in_place(
    state: ModelState, event_type: str, sequence: int, command_id: str, *, ignorable: bool = False
) -> None:
    """Fold an event of a newer release: the stream moves on, its meaning is not known here. Unless it says that one can
    do without, this release decides from here on only what is possible in every state."""
    state.sequence = sequence
    state.command_ids.setdefault(command_id, sequence)
    if not ignorable:
        state.unknown_event_type = event_type


def _training_started(state: ModelState, data: TrainingStarted, _event: Envelope) -> None:
    state.runs[data.run_id] = RunState(data.run_id, "running")


def _training_failed(state: ModelState, data: TrainingFailed, _event: Envelope) -> None:
    state.runs[data.run_id] = RunState(data.run_id, "failed", f"{data.cause}: {data.detail}")


def _trained(state: ModelState, data: ModelTrained, event: Envelope) -> None:
    name = data.model_version
    if name in state.versions:
        raise IllegalEventError(f"model {state.model_name!r} has a version {name!r} already")
    state.versions[name] = VersionState(
        name,
        "none",
        data.artifact,
        data.provenance,
        event.sequence,
        event.time,
        data.run_id,
        data.metrics,
        data.tags,
    )
    if data.run_id in state.runs:
        state.runs[data.run_id] = RunState(data.run_id, "succeeded")


def _validated(state: ModelState, data: ModelValidated, _event: Envelope) -> None:
    known_version(state, data.model_version).validation = data


def _staged(state: ModelState, data: ModelStaged, _event: Envelope) -> None:
    if data.model_version == state.active_version:
        raise IllegalEventError(f"version {data.model_version!r} is active; it cannot go back to staging")
    version = known_version(state, data.model_version)
    if version.artifact_deleted:
        raise IllegalEventError(f"the artifact of {data.model_version!r} was deleted")
    version.stage = "staging"


def _promoted(state: ModelState, data: ModelPromoted, event: Envelope) -> None:
    if data.previous_version != state.active_version:
        raise IllegalEventError(
            f"promotion names {data.previous_version!r} as active, the stream says {state.active_version!r}"
        )
    _enter_production(state, data.model_version, data.artifact_digest, event, "superseded")


def _rolled_back(state: ModelState, data: ModelRolledBack, event: Envelope) -> None:
    if data.from_version != state.active_version:
        raise IllegalEventError(
            f"rollback names {data.from_version!r} as active, the stream says {state.active_version!r}"
        )
    _enter_production(state, data.model_version, data.artifact_digest, event, "archived")


def _enter_production(
    state: ModelState, model_version: str, artifact_digest: str, event: Envelope, leaving: Stage
) -> None:
    version = known_version(state, model_version)
    if model_version == state.active_version:
        raise IllegalEventError(f"version {model_version!r} is active already")
    if artifact_digest != version.artifact.digest:
        raise IllegalEventError(f"the event's artifact is not the one registered as {model_version!r}")
    check_entering_production(state, model_version)
    if state.active_version is not None:
        state.versions[state.active_version].stage = leaving
    version.stage = "production"
    version.production_sequences += (event.sequence,)
    version.deployed_at = event.time
    state.active_version = model_version
    state.production_history.append(model_version)
    reset_circuit(state, model_version)


def _archived(state: ModelState, data: ModelArchived, _event: Envelope) -> None:
    if data.model_version == state.active_version:
        raise IllegalEventError(f"version {data.model_version!r} is active; archiving it would leave none")
    check_leaving(state, data.model_version)
    known_version(state, data.model_version).stage = "archived"


def _of_the_log(_state: ModelState, _data: object, _event: Envelope) -> None:
    """In a model's stream it counts, as for readers that do not know its type, and means nothing."""


_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    TrainingStarted: _training_started,
    TrainingFailed: _training_failed,
    ModelTrained: _trained,
    ModelValidated: _validated,
    ModelStaged: _staged,
    ModelPromoted: _promoted,
    ModelArchived: _archived,
    ModelRolledBack: _rolled_back,
    **SERVING_HANDLERS,
    **ROLLOUT_HANDLERS,
    **PROFILE_HANDLERS,
    **ALERT_HANDLERS,
    **EMERGENCY_HANDLERS,
    **dict.fromkeys(LOG_EVENT_TYPES.values(), _of_the_log),
}
