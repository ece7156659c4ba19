"""What starts training runs, as events of the model's stream and as commands.

Nothing about versions or answers is decided by these events: releases that do not know them go on without.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from hotswap_events.bounds import COUNT_MAX, INT64_MAX
from hotswap_events.command import Command, ModelVersion, RunId
from hotswap_events.rollouts.strategy import MetricName
from hotswap_events.training.events import Datasets
from hotswap_events.training.policy import TrainingPolicy

SLOT_CHARACTERS_MAX = 128
FIGURES_MAX = 64

TriggerName = Literal["schedule", "drift", "quality", "rows", "files", "hand"]
SuppressedCause = Literal["freeze", "cooldown", "budget", "run-on", "version-on-way", "refused"]
"""`freeze`: the policy says that nothing starts now. `cooldown`: a trigger fired not long ago. `budget`: as many as
allowed fired in 24 hours. `run-on`: a run of the model is not over. `version-on-way`: the version of a run is still
tried, so that drift or quality would fire about the same again. `refused`: the run itself was refused."""

Slot = Annotated[str, Meta(min_length=1, max_length=SLOT_CHARACTERS_MAX)]
Figures = Annotated[dict[str, float], Meta(max_length=FIGURES_MAX)]
Detail = Annotated[str, Meta(max_length=2_000)]


class TrainingPolicySet(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Runs of the model start by this policy from here on."""

    policy: TrainingPolicy | None = None
    """Absent: none starts by itself any more."""


class TrainingTriggered(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A trigger fired. The next event of the same decision requests the run."""

    trigger: TriggerName
    slot: Slot
    """What it fired about, once: a time of the schedule, a file's digest, how often the trigger had fired before."""
    run_id: RunId
    figures: Figures = {}
    """What it was decided on."""
    detail: Detail | None = None
    """The same for people."""


class TrainingSuppressed(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A trigger would have fired, and something kept it from that. Said once per trigger and cause until one fires."""

    trigger: TriggerName
    slot: Slot
    cause: SuppressedCause
    detail: Detail
    """What exactly, and until when where that is known."""
    figures: Figures = {}


class QualityPeaked(Struct, frozen=True, kw_only=True, gc=False):
    """Live quality reached a best since the version entered production: what a drop is measured against."""

    metric: MetricName
    value: float
    """What was reached for sure: the figure less two standard errors; plus them where less is better."""
    labels: Annotated[int, Meta(ge=1, le=COUNT_MAX)]
    """How many the figure is made of."""
    model_version: ModelVersion
    production_sequence: int
    """At which that version entered production."""


TrainingTriggerEvent = TrainingPolicySet | TrainingTriggered | TrainingSuppressed | QualityPeaked

TRAINING_TRIGGER_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.model.training-policy-set.v1": TrainingPolicySet,
    "hotswap.model.training-triggered.v1": TrainingTriggered,
    "hotswap.model.training-suppressed.v1": TrainingSuppressed,
    "hotswap.model.quality-peaked.v1": QualityPeaked,
}
"""Stored type name → class."""


class SetTrainingPolicy(Command, frozen=True, tag="hotswap.command.set-training-policy.v1"):
    """Say what starts training runs of the model. Replaces the whole policy."""

    policy: TrainingPolicy | None = None
    """None: nothing starts by itself any more."""


class TriggerCommand(Command, frozen=True, kw_only=True):
    """What commands about a trigger carry."""

    trigger: TriggerName
    slot: Slot | None = None
    """What it fires about; of each trigger each slot fires once. None: the command's id."""
    at: Annotated[datetime, Meta(tz=True)]
    """The time now, by the clock of whoever decided."""
    figures: Figures = field(default_factory=dict)
    detail: Detail | None = None


class FireTrigger(TriggerCommand, frozen=True, tag="hotswap.command.fire-trigger.v1"):
    """Start a run by the policy, unless something keeps it from that, which is a refusal."""

    datasets: Datasets = ()
    """Besides those of the policy."""
    override: bool = False
    """By hand: past cooldown, budget and freeze. It needs a reason."""


class SuppressTrigger(TriggerCommand, frozen=True, tag="hotswap.command.suppress-trigger.v1"):
    """Say that a trigger would have fired but for something, unless that was said already."""

    cause: SuppressedCause


class RecordQualityPeak(Command, frozen=True, tag="hotswap.command.record-quality-peak.v1"):
    """Live quality of the active version reached a best."""

    metric: MetricName
    value: float
    labels: Annotated[int, Meta(ge=1, le=COUNT_MAX)]
    model_version: ModelVersion
    production_sequence: Annotated[int, Meta(ge=1, le=INT64_MAX)]
    """Refuse unless the version is active since this sequence."""


TrainingTriggerCommand = SetTrainingPolicy | FireTrigger | SuppressTrigger | RecordQualityPeak
