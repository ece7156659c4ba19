"""Models and versions as MLflow's clients read them, in the JSON of its protocol buffers."""

from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.registry.tags import DESCRIPTION_TAG
from hotswap_stream.application.mlflow.versions import number_of
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.domain.state.model import ModelState, Stage, VersionState

MlflowStage = Literal["None", "Staging", "Production", "Archived"]

STAGES: dict[Stage, MlflowStage] = {
    "none": "None",
    "staging": "Staging",
    "production": "Production",
    "superseded": "Archived",
    "archived": "Archived",
}
"""Ours → MLflow's, which has none for a version that was replaced and can come back."""

SOURCE = "mlflow.source"
RUN_LINK = "mlflow.run_link"
MODEL_ID = "mlflow.model_id"
FLAVOR = "mlflow.flavor"
WARNINGS = "mlflow.warnings"
"""Entries of a version's provenance that say what a client of MLflow said, or what became of it."""


class Tag(Struct, frozen=True):
    """A tag of a model or a version."""

    key: str
    value: str


class AliasOfModel(Struct, frozen=True):
    """A name, and the version it points at."""

    alias: str
    version: str


class ModelVersion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version. Times are in milliseconds since 1970."""

    name: str
    version: str
    """A number where the version is named `v<number>` here."""
    creation_timestamp: int
    last_updated_timestamp: int
    user_id: str
    """Who registered it: the name of an API key."""
    current_stage: MlflowStage
    description: str = ""
    source: str
    run_id: str = ""
    run_link: str = ""
    model_id: str = ""
    status: Literal["READY", "FAILED_REGISTRATION"]
    status_message: str = ""
    tags: tuple[Tag, ...] = ()
    aliases: tuple[str, ...] = ()


class RegisteredModel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model, and the newest version of each stage."""

    name: str
    creation_timestamp: int
    last_updated_timestamp: int
    description: str = ""
    latest_versions: tuple[ModelVersion, ...] = ()
    tags: tuple[Tag, ...] = ()
    aliases: tuple[AliasOfModel, ...] = ()


def aliases_of(state: ModelState, production_alias: str) -> dict[str, str]:
    """Return alias → version. The one that means production points at what is in production, and at nothing else."""
    aliases = {alias: version for alias, version in state.aliases.items() if alias != production_alias}
    return aliases if state.active_version is None else {production_alias: state.active_version, **aliases}


def model_version(state: ModelState, version: VersionState, production_alias: str) -> ModelVersion:
    """Return a version as clients read it."""
    facts = version.provenance.environment
    return ModelVersion(
        name=state.model_name,
        version=number_of(state, version.model_version),
        creation_timestamp=_milliseconds(version.registered_at),
        last_updated_timestamp=updated_at(version),
        user_id=version.provenance.created_by,
        current_stage=STAGES[version.stage],
        description=version.tags.get(DESCRIPTION_TAG, ""),
        source=facts.get(SOURCE) or f"hotswap:{version.artifact.digest}",
        run_id=version.run_id or "",
        run_link=facts.get(RUN_LINK, ""),
        model_id=facts.get(MODEL_ID, ""),
        status="FAILED_REGISTRATION" if version.artifact_deleted else "READY",
        status_message=_message(version),
        tags=_tags(version.tags),
        aliases=tuple(
            alias for alias, name in aliases_of(state, production_alias).items() if name == version.model_version
        ),
    )


def registered_model(stream: Stream, production_alias: str) -> RegisteredModel:
    """Return a model as clients read it."""
    state = stream.state
    first = next(iter(state.versions.values()), None)
    return RegisteredModel(
        name=state.model_name,
        creation_timestamp=stream.changed_timestamp_ms if first is None else _milliseconds(first.registered_at),
        last_updated_timestamp=stream.changed_timestamp_ms,
        description=state.tags.get(DESCRIPTION_TAG, ""),
        latest_versions=tuple(model_version(state, version, production_alias) for version in latest_versions(state)),
        tags=_tags(state.tags),
        aliases=tuple(
            AliasOfModel(alias, number_of(state, name)) for alias, name in aliases_of(state, production_alias).items()
        ),
    )


def latest_versions(state: ModelState) -> tuple[VersionState, ...]:
    """Return the version of each of MLflow's stages that was registered last, newest first."""
    latest: dict[MlflowStage, VersionState] = {}
    for version in reversed(state.versions.values()):
        latest.setdefault(STAGES[version.stage], version)
        if len(latest) == len(set(STAGES.values())):
            break
    return tuple(latest.values())


def updated_at(version: VersionState) -> int:
    """Return when a version was registered, or last entered production, in milliseconds."""
    return _milliseconds(version.deployed_at or version.registered_at)


def created_at(version: VersionState) -> int:
    """Return when a version was registered, in milliseconds."""
    return _milliseconds(version.registered_at)


def _message(version: VersionState) -> str:
    if version.artifact_deleted:
        return "its artifact was given up by a clean-up"
    return version.provenance.environment.get(WARNINGS, "")


def _tags(tags: dict[str, str]) -> tuple[Tag, ...]:
    return tuple(Tag(key, value) for key, value in tags.items() if key != DESCRIPTION_TAG)


def _milliseconds(time: datetime) -> int:
    return int(time.astimezone(UTC).timestamp() * 1_000)
