"""What a runner and a trainer say to each other: one order as a JSON line, then lines of progress, then how it ended.

A trainer is any program. It reads the order from standard input, writes its lines to standard output, one JSON object
each, and what it made into the order's folder. Whatever it writes to standard error is the run's log.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from hotswap_events.bounds import Count, Name
from hotswap_events.training.events import FIGURES_MAX, ParameterValue
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.training.runs import DataProfile

PROTOCOL = 1
LINE_BYTES_MAX = 1024 * 1024
"""Length of one line of a trainer's output."""
OUTPUT_BYTES_MAX = 64 * 1024**2
"""Length of all lines of a run together."""
LOG_BYTES_MAX = 1024 * 1024
"""Length of the end of standard error that is kept."""
ARTIFACT_NAMES = ("artifact.safetensors", "model.safetensors", "model.onnx")
"""What is taken for the artifact where a trainer does not name one, the first that is there."""

Figures = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=128)], float], Meta(max_length=FIGURES_MAX)]
ShortTexts = Annotated[dict[Name, Annotated[str, Meta(max_length=1_024)]], Meta(max_length=64)]


class DatasetFile(Struct, frozen=True, kw_only=True):
    """One dataset of the order, read-only."""

    digest: str
    path: str


class TrainerOrder(Struct, frozen=True, kw_only=True):
    """The line on standard input. The end of input tells the trainer to end."""

    protocol: int = PROTOCOL
    run_id: str
    model_name: str
    trainer: str
    parameters: dict[str, ParameterValue] = {}
    datasets: tuple[DatasetFile, ...] = ()
    folder: str
    """Empty at the start; the artifact goes in here, and whatever else the trainer writes."""
    threads: int = 1
    seconds_max: float
    """Then it is told to stop, and ended."""
    memory_bytes_max: int
    folder_bytes_max: int


class TrainerReady(Struct, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """The order is understood, its parameters fit, and the work begins. May be left out."""


class TrainerProgress(Struct, frozen=True, kw_only=True, tag_field="type", tag="progress"):
    """Where the run is."""

    step: Count | None = None
    """Steps done, of `steps` in all epochs together."""
    steps: Count | None = None
    epoch: Count | None = None
    epochs: Count | None = None
    figures: Figures = {}
    """Such as `loss`; those of an epoch's last line are kept as the epoch's."""


class TrainerFinished(Struct, frozen=True, kw_only=True, tag_field="type", tag="finished"):
    """The artifact is written. A trainer that leaves `artifact.safetensors` or `model.onnx` need not say so."""

    artifact: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    """Name of the file in the folder: an ONNX graph, or an artifact of this product."""
    options: ModelOptions = ModelOptions()
    """What an ONNX graph cannot say."""
    metrics: Figures = {}
    data_snapshot: Annotated[str, Meta(max_length=512)] | None = None
    code_revision: Annotated[str, Meta(max_length=512)] | None = None
    environment: ShortTexts = {}
    profile: DataProfile | None = None
    """What the data looked like, so that drift can be seen."""


class TrainerFailed(Struct, frozen=True, kw_only=True, tag_field="type", tag="failed"):
    """The trainer knows why it cannot go on."""

    cause: Literal["bad-data", "not-possible", "crashed"]
    detail: Annotated[str, Meta(max_length=8_000)]


TrainerLine = TrainerReady | TrainerProgress | TrainerFinished | TrainerFailed
LINES: "msgspec.json.Decoder[TrainerLine]" = msgspec.json.Decoder(TrainerLine)
