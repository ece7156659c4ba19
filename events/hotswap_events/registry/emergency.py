"""What may be written where the log holds an event of a newer release: events that contradict no state.

Who cannot read an event cannot tell what is legal after it, and an event that newer releases take for void would part
the releases for good. So these have a meaning in every state, and every later release keeps it.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

ArtifactDigest = Annotated[str, Meta(extra_json_schema={"pattern": "^sha256:[0-9a-f]{64}$"})]
SetBackCause = Literal["operator", "emergency", "load-failed", "rollout"]


class ModelSetBack(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A version that served before is in production from here on, whatever was; a rollout that is on ends.

    Without effect where the version is not there, or not with this artifact.
    """

    model_version: str
    artifact_digest: ArtifactDigest
    from_version: str | None = None
    """What was active, as far as its writer could tell; archived by it."""
    cause: SetBackCause = "operator"


class ModelShutOff(Struct, frozen=True, kw_only=True, gc=False):
    """The model is switched off, whether it was before or not: every request is answered with `model-disabled`."""


EmergencyEvent = ModelSetBack | ModelShutOff

EMERGENCY_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.model.set-back.v1": ModelSetBack,
    "hotswap.model.shut-off.v1": ModelShutOff,
}
