"""What one may ask for: messages on `hotswap.commands`, and the body of the HTTP commands. Imperative names."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from hotswap_events.alerts.commands import AlertCommand
from hotswap_events.bounds import INT64_MAX
from hotswap_events.command import Actor as Actor
from hotswap_events.command import Command
from hotswap_events.command import CommandId as CommandId
from hotswap_events.command import ModelName as ModelName
from hotswap_events.command import ModelVersion as ModelVersion
from hotswap_events.command import Reason as Reason
from hotswap_events.command import RunId as RunId
from hotswap_events.dataset import DatasetCommand
from hotswap_events.dataset import RecordDataset as RecordDataset
from hotswap_events.dataset import SetRequestRetention as SetRequestRetention
from hotswap_events.registry.events import ArtifactFacts, ArtifactTrial, Provenance, RollBackCause
from hotswap_events.registry.profile import ProfileVersion as ProfileVersion
from hotswap_events.registry.tag_commands import SetAlias as SetAlias
from hotswap_events.registry.tag_commands import TagCommand
from hotswap_events.registry.tag_commands import TagModel as TagModel
from hotswap_events.registry.version_options import VersionOptions
from hotswap_events.rollouts.commands import RolloutCommands
from hotswap_events.serving.commands import ServingCommand
from hotswap_events.training.commands import CancelTraining as CancelTraining
from hotswap_events.training.commands import ClaimTraining as ClaimTraining
from hotswap_events.training.commands import FailTraining as FailTraining
from hotswap_events.training.commands import RequestTraining as RequestTraining
from hotswap_events.training.commands import StartTraining as StartTraining
from hotswap_events.training.commands import TrainingCommand
from hotswap_events.training.triggers import TrainingTriggerCommand
from hotswap_events.validation.commands import ChooseValidationSet as ChooseValidationSet
from hotswap_events.validation.commands import SetValidationPolicy as SetValidationPolicy


class RegisterVersion(Command, frozen=True, tag="hotswap.command.register.v1"):
    """Register an artifact that is in the store, trained here or elsewhere. Without a name it gets the next `v<n>`."""

    artifact: ArtifactFacts
    provenance: Provenance
    model_version: ModelVersion | None = None
    run_id: RunId | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    trial: ArtifactTrial | None = None
    """What its trial measured, if there was one."""
    graph: ArtifactFacts | None = None
    """The architecture as a graph without weights, if it was exported."""
    options: VersionOptions | None = None
    """How it is to be computed; the same artifact with other options is another version."""


class ValidateVersion(Command, frozen=True, tag="hotswap.command.validate.v1"):
    """Hand in the figures of an evaluation; the policy draws the verdict, archives what failed, and, if asked,
    promotes what passed while nothing is active.
    """

    model_version: ModelVersion
    validation_set: str
    figures: dict[str, float]
    """At least `accuracy`, a share from 0 to 1, unless the model's validation set is of another kind than
    classification."""
    baseline_version: ModelVersion | None = None
    """The active version it was compared with; must still be the active one."""
    baseline_figures: dict[str, float] = field(default_factory=dict)
    promote_first: bool = False
    """Promote it in the same decision if it passes and no version is active."""


class StageVersion(Command, frozen=True, tag="hotswap.command.stage.v1"):
    """Put a version into staging."""

    model_version: ModelVersion


class PromoteVersion(Command, frozen=True, tag="hotswap.command.promote.v1"):
    """Put a version that passed validation into production."""

    model_version: ModelVersion
    allow_signature_change: bool = False
    """Even if its inputs or outputs differ from the active version's, so that its users' requests would break."""


class SwitchVersion(Command, frozen=True, tag="hotswap.command.switch.v1"):
    """Force a version into production, past the validation gate."""

    model_version: ModelVersion
    allow_signature_change: bool = False
    """Even if its inputs or outputs differ from the active version's, so that its users' requests would break."""


class ArchiveVersion(Command, frozen=True, tag="hotswap.command.archive.v1"):
    """Take a version that is not active out of play."""

    model_version: ModelVersion


class DeleteArtifact(Command, frozen=True, tag="hotswap.command.delete-artifact.v1"):
    """Give up a version's artifact: the version stays listed, archived, and can never serve again.

    Never one that was in production or is in staging or in a rollout.
    """

    model_version: ModelVersion


class RollBack(Command, frozen=True, tag="hotswap.command.roll-back.v1"):
    """Return to the version that was in production before."""

    cause: RollBackCause = "operator"
    from_version: ModelVersion | None = None
    """Refuse unless this version is the active one: a late rollback must not hit its successor. Needed where the active
    version is there because of a rollback, so that a rollback asked for twice does not go back two versions."""
    entered_sequence: Annotated[int, Meta(ge=1, le=INT64_MAX)] | None = None
    """Refuse unless the active version entered production at this sequence: a late rollback must not hit the same
    version when it was put into production once more."""


AnyCommand = (
    TrainingCommand
    | TrainingTriggerCommand
    | RegisterVersion
    | ValidateVersion
    | StageVersion
    | PromoteVersion
    | SwitchVersion
    | ArchiveVersion
    | RollBack
    | ServingCommand
    | RolloutCommands
    | SetValidationPolicy
    | ChooseValidationSet
    | DeleteArtifact
    | ProfileVersion
    | TagCommand
    | AlertCommand
    | DatasetCommand
)

RefusalCode = Literal[
    "illegal-step",
    "unknown-model",
    "unknown-version",
    "unknown-rule",
    "unknown-rollout",
    "unknown-run",
    "unknown-dataset",
    "duplicate-version",
    "invalid-value",
    "sequence-mismatch",
    "conflict",
    "command-unreadable",
    "command-expired",
    "idempotency-mismatch",
    "signature-refused",
]


class Refusal(Struct, frozen=True, kw_only=True, gc=False):
    """A business "no": what was wrong and what would be right."""

    code: RefusalCode
    reason: str
    legal: tuple[str, ...] = ()
    """The steps that would be legal, or the names that exist."""


class CommandResult(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The answer on `hotswap.command-results`, keyed by model name; the `command_id` ties it to the command."""

    command_id: str
    status: Literal["accepted", "unchanged", "refused", "failed"]
    """`unchanged`: nothing to do, or the same command was applied before; `failed`: try again with the same id."""
    model_name: str
    model_version: str | None = None
    previous_version: str | None = None
    rollout_id: str | None = None
    """The rollout that the command was about, or that it ended."""
    offset: int | None = None
    """Of the decision's last event in `hotswap.registry`."""
    sequence: int | None = None
    event_types: tuple[str, ...] = ()
    refusal: Refusal | None = None
    detail: str | None = None
    """For people: why nothing was done, or what whoever asked should know beside the events."""
