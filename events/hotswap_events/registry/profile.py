"""What a version's training data looked like, so that a shift of the live data is seen."""

from typing import Annotated

from msgspec import Meta, Struct, field

from hotswap_events.bounds import INT64_MAX
from hotswap_events.command import Command, ModelVersion

PROFILE_SKETCHES_MAX = 8
PROFILE_SKETCH_CHARACTERS_MAX = 8_192


class ModelProfiled(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The distributions of the data a version was made from. A later one replaces it."""

    model_version: str
    source: str
    """Which data: the data snapshot's name, or a word for it."""
    rows: int
    sketches: dict[str, str]
    """Name → KLL sketch of floats, named and encoded as in the observations: `input`, `input.0` … of the inputs,
    `score` of the version's own scores on them."""


class ProfileVersion(Command, frozen=True, tag="hotswap.command.profile.v1"):
    """Record the distributions of the data a version was made from."""

    model_version: ModelVersion
    source: Annotated[str, Meta(min_length=1, max_length=500)]
    rows: Annotated[int, Meta(ge=1, le=INT64_MAX)]
    sketches: dict[str, str] = field(default_factory=dict)


PROFILE_EVENT_TYPES: dict[str, type[Struct]] = {"hotswap.model.profiled.v1": ModelProfiled}
