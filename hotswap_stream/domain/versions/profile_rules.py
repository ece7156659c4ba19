"""A version's profile: what its training data looked like, and which profiles may be recorded."""

import re
from collections.abc import Callable
from typing import Any

from hotswap_events.commands import Refusal
from hotswap_events.envelope import Envelope
from hotswap_events.registry.profile import (
    PROFILE_SKETCH_CHARACTERS_MAX,
    PROFILE_SKETCHES_MAX,
    ModelProfiled,
    ProfileVersion,
)
from hotswap_stream.domain.deciding.contradiction import IllegalEventError, known_version
from hotswap_stream.domain.deciding.decision import Accepted, Decision, find_version, illegal, invalid
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.versions.sketch_bytes import wrong_sketch

SOURCE_CHARACTERS_MAX = 500
ROWS_MAX = 2**53

_SKETCH_NAME = re.compile(r"score|input(\.(0|[1-9][0-9]{0,8}))?")


def wrong_profile(profile: ModelProfiled) -> str | None:
    """Return why the profile cannot be stored, or None."""
    if not 1 <= len(profile.source) <= SOURCE_CHARACTERS_MAX:
        return f"source has {len(profile.source)} characters; 1 to {SOURCE_CHARACTERS_MAX} are needed"
    if not 1 <= profile.rows <= ROWS_MAX:
        return f"rows is {profile.rows}; a profile is made of 1 row or more, up to {ROWS_MAX}"
    if not 1 <= len(profile.sketches) <= PROFILE_SKETCHES_MAX:
        return f"{len(profile.sketches)} sketches; a profile has 1 to {PROFILE_SKETCHES_MAX}"
    for name, sketch in profile.sketches.items():
        if not _SKETCH_NAME.fullmatch(name):
            return f"sketch name {name[:50]!r} is not known: 'input', 'input.' with an element's index, or 'score'"
        if len(sketch) > PROFILE_SKETCH_CHARACTERS_MAX:
            return f"sketch {name!r} has {len(sketch)} characters; at most {PROFILE_SKETCH_CHARACTERS_MAX} are kept"
        if wrong := wrong_sketch(sketch):
            return f"sketch {name!r} is not a KLL sketch of floats in base64: {wrong}"
    return None


def _profile(state: ModelState, command: ProfileVersion) -> Decision:
    version = find_version(state, command.model_version)
    if isinstance(version, Refusal):
        return version
    if version.artifact_deleted:
        return illegal(state, version, "has lost its artifact to a clean-up")
    profile = ModelProfiled(
        model_version=version.model_version,
        source=command.source,
        rows=command.rows,
        sketches=dict(sorted(command.sketches.items())),
    )
    if wrong := wrong_profile(profile):
        return invalid(wrong)
    if profile == version.profile:
        return Accepted((), f"{version.model_version!r} has this profile already")
    return Accepted((profile,))


def _profiled(state: ModelState, data: ModelProfiled, _event: Envelope) -> None:
    version = known_version(state, data.model_version)
    if version.artifact_deleted:
        raise IllegalEventError(f"the artifact of {data.model_version!r} was deleted")
    version.profile = data


PROFILE_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {ProfileVersion: _profile}
PROFILE_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {ModelProfiled: _profiled}
