"""Free labels on models and versions, and names that point at versions: for people and for other registries' clients.

Nothing is decided by them, so a release that does not know these events loses nothing without them.
"""

from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.command import ModelVersion

TAGS_MAX = 64
"""Of a model, and of each version."""
ALIASES_MAX = 64
"""Of a model."""
ALIAS_CHARACTERS_MAX = 63
DESCRIPTION_TAG = "mlflow.note.content"
"""The tag that holds a description in a person's own words, as MLflow names it."""

Alias = Annotated[str, Meta(min_length=1, max_length=ALIAS_CHARACTERS_MAX)]
Tags = Annotated[dict[str, str], Meta(max_length=TAGS_MAX)]
TagKeys = Annotated[tuple[str, ...], Meta(max_length=TAGS_MAX)]


class ModelTagged(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Tags of a model, or of one version, are others from here on. As a first event it begins a model without versions.

    Those that are not named stay.
    """

    model_version: ModelVersion | None = None
    """Whose tags; absent: the model's own."""
    tags: Tags = {}
    """Those that are new, or have another value."""
    removed: TagKeys = ()


class AliasSet(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A name points at a version from here on."""

    alias: Alias
    model_version: ModelVersion | None = None
    """Absent: at none any more."""


TagEvent = ModelTagged | AliasSet

TAG_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.model.tagged.v1": ModelTagged,
    "hotswap.model.alias-set.v1": AliasSet,
}
"""Stored type name → class."""
