"""What the events of versions mean, and those of the policy and the set that judge them."""

from collections.abc import Callable
from typing import Any

from hotswap_events.envelope import Envelope
from hotswap_events.registry.events import (
    ArtifactDeleted,
    ModelArchived,
    ModelPromoted,
    ModelRolledBack,
    ModelStaged,
    ModelTrained,
    ModelValidated,
)
from hotswap_events.registry.version_options import PLAIN
from hotswap_events.validation.policy import ValidationPolicySet
from hotswap_events.validation.sets import ValidationSetChosen
from hotswap_stream.domain.deciding.contradiction import IllegalEventError, known_version
from hotswap_stream.domain.rollouts.evolve import check_entering_production, check_leaving
from hotswap_stream.domain.serving.evolve import reset_circuit
from hotswap_stream.domain.state.model import ModelState, Stage, VersionState
from hotswap_stream.domain.training.evolve import run_succeeded


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
        trial=data.trial,
        graph=data.graph,
        options=data.options or PLAIN,
    )
    run_succeeded(state, data.run_id, name, event)


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
    state.versions[data.model_version].approved_by = data.approved_by
    state.rolled_back_from = None


def _rolled_back(state: ModelState, data: ModelRolledBack, event: Envelope) -> None:
    if data.from_version != state.active_version:
        raise IllegalEventError(
            f"rollback names {data.from_version!r} as active, the stream says {state.active_version!r}"
        )
    _enter_production(state, data.model_version, data.artifact_digest, event, "archived")
    state.rolled_back_from = data.from_version


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
    version.deployed_by = event.actor
    version.approved_by = None
    state.active_version = model_version
    state.production_history.append(model_version)
    reset_circuit(state, model_version)


def _archived(state: ModelState, data: ModelArchived, _event: Envelope) -> None:
    if data.model_version == state.active_version:
        raise IllegalEventError(f"version {data.model_version!r} is active; archiving it would leave none")
    check_leaving(state, data.model_version)
    known_version(state, data.model_version).stage = "archived"


def _validation_policy_set(state: ModelState, data: ValidationPolicySet, _event: Envelope) -> None:
    state.validation_policy = data.policy


def _validation_set_chosen(state: ModelState, data: ValidationSetChosen, _event: Envelope) -> None:
    state.validation_set = data.validation_set


def _artifact_deleted(state: ModelState, data: ArtifactDeleted, _event: Envelope) -> None:
    version = known_version(state, data.model_version)
    if version.stage != "archived" or version.was_in_production:
        raise IllegalEventError(f"{data.model_version!r} is {version.stage}; only archived versions may be cleaned up")
    if version.artifact.digest != data.artifact_digest:
        raise IllegalEventError(f"the event's artifact is not the one registered as {data.model_version!r}")
    version.artifact_deleted = True
    version.profile = None


VERSION_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    ModelTrained: _trained,
    ModelValidated: _validated,
    ModelStaged: _staged,
    ModelPromoted: _promoted,
    ModelRolledBack: _rolled_back,
    ModelArchived: _archived,
    ValidationPolicySet: _validation_policy_set,
    ValidationSetChosen: _validation_set_chosen,
    ArtifactDeleted: _artifact_deleted,
}
