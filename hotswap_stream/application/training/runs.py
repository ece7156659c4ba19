"""The language of training runs: what is asked for, what is heard while it runs, how it ended."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_events.training.events import TrainingFailureCause
from hotswap_stream.application.artifacts.manifest import Argument, ArtifactManifest


class TrainingSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One training run. Its parts are all a repeat needs: same spec, same data, same machine type, same artifact."""

    run_id: Annotated[str, Meta(min_length=1, max_length=128)]
    model_name: str
    architecture: str
    arguments: dict[str, Argument] = {}
    data_file: str | None = None
    """Path of a data file; None for the training part of the bundled digits."""
    epochs: Annotated[int, Meta(ge=1, le=1_000)] = 12
    batch_size: Annotated[int, Meta(ge=1, le=65_536)] = 32
    learning_rate: Annotated[float, Meta(gt=0.0, le=10.0)] = 0.01
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    threads: Annotated[int, Meta(ge=1, le=256)] = 1
    """CPU threads of the run; its result depends on them in the last digits."""
    created_by: str
    image: str | None = None
    """Container image digest of the trainer, for the provenance."""

    def parameters(self) -> dict[str, str]:
        """Return what was chosen for this run, for the registry."""
        return {
            "epochs": str(self.epochs),
            "batch_size": str(self.batch_size),
            "learning_rate": repr(self.learning_rate),
            "seed": str(self.seed),
            **{f"argument.{name}": str(value) for name, value in self.arguments.items()},
        }


class TrainingProgress(Struct, frozen=True, kw_only=True, tag="progress"):
    """Where a run is. `loss` and `accuracy` (a share from 0 to 1) are means over the epoch so far."""

    run_id: str
    epoch: int
    epochs: int
    step: int
    """Steps done, of `steps` in all epochs together."""
    steps: int
    loss: float
    accuracy: float


class DataProfile(Struct, frozen=True, kw_only=True):
    """What the data of a version looked like."""

    source: str
    """Which data."""
    rows: int
    sketches: dict[str, str]
    """As in the observations: of the inputs, and of the version's scores on them."""


class TrainingSucceeded(Struct, frozen=True, kw_only=True, tag="succeeded"):
    """A run ended with an artifact that loads, warms up and lies in the store."""

    run_id: str
    artifact: ArtifactFacts
    manifest: ArtifactManifest
    metrics: dict[str, float]
    """`Evaluation.figures()` on the fixed validation set, and `train_loss`, `train_accuracy`, `train_seconds`."""
    validation_set: str
    """Digest of the fixed validation set."""
    provenance: Provenance
    profile: DataProfile | None = None
    """Profile of the data it was trained on."""


class TrainingFailure(Struct, frozen=True, kw_only=True, tag="failed"):
    """A run ended without an artifact. `detail` is for a person: what happened, and the end of what the run wrote."""

    run_id: str
    cause: TrainingFailureCause
    detail: str


TrainingOutcome = TrainingSucceeded | TrainingFailure


class TrainingOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a training process reads from standard input, as one JSON line. The end of input tells it to end."""

    spec: TrainingSpec
    artifact_file: str
    """Path the process writes the artifact to. It never sees the store or its keys."""


class TrainingFinished(Struct, frozen=True, kw_only=True, tag="finished"):
    """The last line of a run's own process: the artifact file is written, and this is what is known of it."""

    metrics: dict[str, float]
    validation_set: str
    data_snapshot: str
    code_revision: str
    environment: dict[str, str]
    profile: DataProfile | None = None


class TrainingAborted(Struct, frozen=True, kw_only=True, tag="aborted"):
    """The last line of a run's own process when it knows why it cannot go on."""

    cause: Literal["bad-data", "crashed"]
    detail: str


TrainingLine = TrainingProgress | TrainingFinished | TrainingAborted
"""What a training process writes to standard output, as one JSON object a line."""

OnProgress = Callable[[TrainingProgress], None]


class Trainer(Protocol):
    """Runs training where its end, however bad, is not ours."""

    async def run(
        self, spec: TrainingSpec, *, on_progress: OnProgress | None = None, cancel: asyncio.Event | None = None
    ) -> TrainingOutcome:
        """Train to the end, the time limit, or until `cancel` is set.

        If the calling task itself is cancelled, the run is ended before CancelledError goes on.

        Returns:
            What became of the run; its failures are returned, not raised.
        """
