"""What one may ask of training runs."""

from typing import Annotated

from msgspec import Meta, field

from hotswap_events.command import Command, RunId
from hotswap_events.training.events import (
    AfterTraining,
    AskedByHand,
    Datasets,
    Parameters,
    Retries,
    RunnerName,
    RunSeconds,
    TrainerName,
    TrainingCause,
    TrainingFailureCause,
)


class RequestTraining(Command, frozen=True, tag="hotswap.command.request-training.v1"):
    """Ask for a training run; whichever runner has the trainer does it. With a new model's name it begins the model."""

    run_id: RunId
    """Letters, digits, '.', '_', '-', ':' and '~'."""
    trainer: TrainerName
    parameters: Parameters = field(default_factory=dict)
    datasets: Datasets = ()
    """Digests, or names of datasets of the model; none: the data that the trainer knows itself."""
    after: AfterTraining = "nothing"
    cause: TrainingCause = field(default_factory=AskedByHand)
    retries: Retries = 0
    """How often to ask again when its runner falls silent, crashes, or cannot store the artifact."""
    seconds_max: RunSeconds | None = None
    """For how long it may run; None: as long as the runner lets it."""


class ClaimTraining(Command, frozen=True, tag="hotswap.command.claim-training.v1"):
    """Take a run that was asked for; of several runners one gets it."""

    run_id: RunId
    runner: RunnerName
    """Another one for each life of the process: what is left of a former life does not do the run."""


class CancelTraining(Command, frozen=True, tag="hotswap.command.cancel-training.v1"):
    """Stop a run, wherever it is. It is over at once; its runner ends what it started."""

    run_id: RunId


class StartTraining(Command, frozen=True, tag="hotswap.command.start-training.v1"):
    """Record that a training run began: one that was claimed, or one that nobody asked for in the log."""

    run_id: RunId
    architecture: str
    data_snapshot: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)


class FailTraining(Command, frozen=True, tag="hotswap.command.fail-training.v1"):
    """Record that a training run ended without a version. If its request has attempts left, it is asked for again."""

    run_id: RunId
    cause: TrainingFailureCause
    detail: Annotated[str, Meta(max_length=8_000)]


TrainingCommand = StartTraining | FailTraining | RequestTraining | ClaimTraining | CancelTraining
