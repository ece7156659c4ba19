"""What a runner and an outside orchestrator say to each other, over HTTP.

The runner asks by a signed webhook, or by a Job that it creates. Whoever does the run gets a key that is good for this
run alone, fetches the order, and reports: lines of progress, files, the end.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from hotswap_events.training.events import ParameterValue
from hotswap_stream.application.trainers.protocol import PROTOCOL, TrainerFinished, TrainerLine
from hotswap_stream.errors import HotswapError

ASK_TYPE = "hotswap.training.ask.v1"
CANCEL_TYPE = "hotswap.training.cancel.v1"
REPORT_BYTES_MAX = 1024 * 1024
"""Size of one report of progress, of the end, or of a piece of the log."""
FILES_MAX = 1_000
"""Files that one run may hand in."""
FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"


class OutsideDataset(Struct, frozen=True, kw_only=True):
    """One dataset of the order."""

    digest: str
    path: str
    """Where its bytes are, below the run's URL."""


class OutsideOrder(Struct, frozen=True, kw_only=True):
    """What is to be done, as `GET` of the run's URL answers."""

    protocol: int = PROTOCOL
    run_id: str
    model_name: str
    trainer: str
    parameters: dict[str, ParameterValue] = {}
    datasets: tuple[OutsideDataset, ...] = ()
    threads: int = 1
    seconds_max: float
    """Then it is cancelled."""
    silent_seconds: float
    """A run that reports nothing for so long is failed."""
    memory_bytes_max: int
    folder_bytes_max: int
    """Size of all files together."""


class ReportTo(Struct, frozen=True, kw_only=True):
    """Where the run reports, and what it shows there."""

    url: str
    key: str


class Ask(Struct, frozen=True, kw_only=True):
    """Data of the webhook `hotswap.training.ask.v1`: do this run."""

    order: OutsideOrder
    report: ReportTo


class CancelAsk(Struct, frozen=True, kw_only=True):
    """Data of the webhook `hotswap.training.cancel.v1`: stop this run; what it reports is not taken any more."""

    run_id: str
    model_name: str
    trainer: str


class OutsideFailed(Struct, frozen=True, kw_only=True, tag_field="type", tag="failed"):
    """The run cannot go on, or ended badly."""

    cause: Literal["bad-data", "not-possible", "crashed", "over-limit", "timed-out", "no-artifact", "bad-output"]
    detail: Annotated[str, Meta(max_length=8_000)]


ReportedEnd = TrainerFinished | OutsideFailed
ENDS: "msgspec.json.Decoder[ReportedEnd]" = msgspec.json.Decoder(ReportedEnd)


class RunOverError(HotswapError):
    """Nothing of this run is taken any more: it was cancelled, has ended, or is not known."""


class ReportFailedError(HotswapError):
    """The runner does not take a report, or cannot be reached."""


class RunReports(Protocol):
    """How whoever does the run hears of it and reports. Each may raise RunOverError and ReportFailedError."""

    async def order(self) -> OutsideOrder:
        """Fetch the order."""
        ...

    async def fetch(self, dataset: OutsideDataset, file: Path, bytes_max: int) -> None:
        """Fetch a dataset, whose bytes are checked, into a file. OSError."""
        ...

    async def progress(self, lines: Sequence[TrainerLine] = ()) -> None:
        """Report lines; none are a sign of life."""
        ...

    async def log(self, text: str) -> None:
        """Report a piece of the log."""
        ...

    async def hand_in(self, file: Path) -> None:
        """Hand in a file under its name. OSError."""
        ...

    async def end(self, end: ReportedEnd) -> None:
        """Report the end."""
        ...
