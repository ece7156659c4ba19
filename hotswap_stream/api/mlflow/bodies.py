"""What MLflow's clients send. Fields that are not here are passed over, as its own servers do."""

from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.command import RunId
from hotswap_events.registry.tags import TAGS_MAX
from hotswap_stream.application.mlflow.entities import Tag

NAME_CHARACTERS_MAX = 256
"""More than any name may have, so that a longer one is told what is right by the rule for names."""
TEXT_CHARACTERS_MAX = 4_096

Name = Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)]
TagList = Annotated[tuple[Tag, ...], Meta(max_length=TAGS_MAX)]


class NamedModel(Struct, frozen=True):
    """A model."""

    name: Name


class NamedVersion(Struct, frozen=True):
    """A version of a model."""

    name: Name
    version: Name


class CreateModel(Struct, frozen=True, kw_only=True):
    """A new model."""

    name: Name
    tags: TagList = ()
    description: Text = ""


class UpdateModel(Struct, frozen=True, kw_only=True):
    """Another description of a model."""

    name: Name
    description: Text = ""


class ModelTag(Struct, frozen=True, kw_only=True):
    """A tag of a model."""

    name: Name
    key: Text
    value: Text = ""


class ModelTagKey(Struct, frozen=True, kw_only=True):
    """A tag of a model that is to go."""

    name: Name
    key: Text


class LatestVersions(Struct, frozen=True, kw_only=True):
    """Which stages of a model; none: all."""

    name: Name
    stages: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()


class NewAlias(Struct, frozen=True, kw_only=True):
    """Where an alias is to point."""

    name: Name
    alias: Name
    version: Name


class AliasKey(Struct, frozen=True, kw_only=True):
    """An alias that is to go."""

    name: Name
    alias: Name


class CreateVersion(Struct, frozen=True, kw_only=True):
    """A new version, and where its model lies."""

    name: Name
    source: Text
    run_id: RunId | None = None
    tags: TagList = ()
    run_link: Text = ""
    description: Text = ""
    model_id: Text = ""


class UpdateVersion(Struct, frozen=True, kw_only=True):
    """Another description of a version."""

    name: Name
    version: Name
    description: Text = ""


class TransitionStage(Struct, frozen=True, kw_only=True):
    """Where a version is to go."""

    name: Name
    version: Name
    stage: Name
    archive_existing_versions: bool = False


class VersionTag(Struct, frozen=True, kw_only=True):
    """A tag of a version."""

    name: Name
    version: Name
    key: Text
    value: Text = ""


class VersionTagKey(Struct, frozen=True, kw_only=True):
    """A tag of a version that is to go."""

    name: Name
    version: Name
    key: Text
