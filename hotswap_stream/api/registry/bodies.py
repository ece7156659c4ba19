"""Bodies of the commands."""

from typing import Annotated, Literal

from msgspec import Meta, field

from hotswap_events.commands import ModelVersion, RunId
from hotswap_stream.api.commands.context import CommandBody

Text = Annotated[str, Meta(max_length=512)]


class RegisterBody(CommandBody, frozen=True):
    """Register an artifact that is in the store. Without `model_version` it gets the next `v<n>`."""

    artifact_digest: Annotated[str, Meta(pattern="^sha256:[0-9a-f]{64}$")]
    model_version: ModelVersion | None = None
    origin: Literal["trained", "imported"] = "imported"
    created_by: Text | None = None
    """Default: who asks."""
    code_revision: Text | None = None
    data_snapshot: Text | None = None
    image: Text | None = None
    environment: dict[str, str] = field(default_factory=dict)
    run_id: RunId | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    executor: Text | None = None
    """The only one that may compute the version, such as `onnxruntime` or `openvino`; default: the fastest whose
    outputs are right."""
    precision: Text = "f32"
    """`f32`, or `bf16`, whose results differ: the same artifact with another precision is another version."""


class ValidateBody(CommandBody, frozen=True):
    """Figures of an evaluation on a fixed validation set; the policy draws the verdict."""

    figures: dict[str, float]
    """At least `accuracy`, a share from 0 to 1, unless the model's validation set is of another kind than
    classification."""
    validation_set: Text
    """Digest or name of the validation set."""
    baseline_version: ModelVersion | None = None
    """The active version, if there is one, and its figures on the same set."""
    baseline_figures: dict[str, float] = field(default_factory=dict)
    promote_first: bool = False
    """Promote it in the same decision if it passes and no version is active."""


class SwitchBody(CommandBody, frozen=True):
    """Which version to force into production."""

    model_version: ModelVersion
    allow_signature_change: bool = False
    """Even if its inputs or outputs differ from the active version's, so that its users' requests would break."""


class PromoteBody(CommandBody, frozen=True):
    """How to put a version into production."""

    allow_signature_change: bool = False
    """Even if its inputs or outputs differ from the active version's, so that its users' requests would break."""


class ReloadBody(CommandBody, frozen=True):
    """Which version to load; without one, the newest that passed validation."""

    model_version: ModelVersion | None = None


class RollBackBody(CommandBody, frozen=True):
    """Why to roll back, and from what."""

    cause: Literal["operator", "emergency"] = "operator"
    from_version: ModelVersion | None = None
    """Refuse unless this version is the active one."""


class TrainingBody(CommandBody, frozen=True):
    """One training run on the bundled data."""

    architecture: Text = "digits-cnn"
    epochs: Annotated[int, Meta(ge=1, le=1_000)] = 12
    batch_size: Annotated[int, Meta(ge=1, le=65_536)] = 32
    learning_rate: Annotated[float, Meta(gt=0.0, le=10.0)] = 0.004
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
