"""What a runner says of a run while it does it: a sign of life, and how far it is. Compacted: the last of each run."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.bounds import TEXT_CHARACTERS_MAX, Count, Name, check_time
from hotswap_events.command import ModelName, RunId
from hotswap_events.training.events import FIGURES_MAX, RunnerName, TrainerName

PROGRESS_SECONDS = 2.0
"""A runner says something of each of its runs at least so often."""

EPOCHS_KEPT_MAX = 200
LOG_CHARACTERS_MAX = 16_000
RUN_FILES_MAX = 32

Phase = Literal["preparing", "training", "storing", "validating", "ended"]
Digest = Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
Figure = Annotated[float, Meta(ge=-1e30, le=1e30)]


class EpochFigures(Struct, frozen=True, kw_only=True, gc=False):
    """What was measured in one epoch."""

    epoch: Count
    figures: Annotated[dict[Name, Figure], Meta(max_length=FIGURES_MAX)]


class RunFile(Struct, frozen=True, kw_only=True, gc=False):
    """One file that a run left beside its artifact, such as a plot."""

    name: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    digest: Digest
    """Of its bytes."""
    size_bytes: Count


class RunFiles(Struct, frozen=True, kw_only=True, gc=False):
    """The files of a run, which lie in the artifact store as one artifact."""

    artifact_digest: Digest
    files: Annotated[tuple[RunFile, ...], Meta(min_length=1, max_length=RUN_FILES_MAX)]


class TrainingProgressed(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where a run is, as its runner saw it last."""

    run_id: RunId
    model_name: ModelName
    trainer: TrainerName
    runner: RunnerName
    at: Annotated[datetime, Meta(tz=True)]
    """By the runner's clock."""
    phase: Phase
    step: Count | None = None
    """Steps done, of `steps` in all epochs together."""
    steps: Count | None = None
    epoch: Count | None = None
    epochs: Count | None = None
    figures: Annotated[dict[Name, Figure], Meta(max_length=FIGURES_MAX)] = {}
    """Such as `loss`, of the present epoch."""
    memory_bytes: Count | None = None
    """What its processes use together."""
    history: Annotated[tuple[EpochFigures, ...], Meta(max_length=EPOCHS_KEPT_MAX)] = ()
    """Of a run that ended: the figures of its epochs, of more than 200 some."""
    log: Annotated[str, Meta(max_length=LOG_CHARACTERS_MAX)] | None = None
    """Of a run that ended: the end of what its trainer wrote to its log."""
    kept: RunFiles | None = None
    """Of a run that ended: its files, until those of newer runs take their place."""
    said: Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX)] | None = None
    """For people: how it ended."""

    def __post_init__(self) -> None:
        check_time("at", self.at)
