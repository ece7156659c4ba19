"""What one may ask of tags and aliases."""

from msgspec import field

from hotswap_events.command import Command, ModelVersion
from hotswap_events.registry.tags import Alias, TagKeys, Tags


class TagModel(Command, frozen=True, tag="hotswap.command.tag.v1"):
    """Set and remove tags of a model, or of one version. With a new model's name it begins the model, without versions.

    Those that are not named stay.
    """

    model_version: ModelVersion | None = None
    """Whose tags; None: the model's own."""
    tags: Tags = field(default_factory=dict)
    removed: TagKeys = ()


class SetAlias(Command, frozen=True, tag="hotswap.command.set-alias.v1"):
    """Let a name point at a version; it does nothing else."""

    alias: Alias
    model_version: ModelVersion | None = None
    """None: at none any more."""


TagCommand = TagModel | SetAlias
