"""Where a run is done: in processes of this machine, by an outside orchestrator, in a Job of a cluster."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hotswap_events.training.events import TrainingFailureCause
from hotswap_stream.application.trainers.protocol import TrainerLine, TrainerOrder
from hotswap_stream.errors import HotswapError

OnLine = Callable[[TrainerLine], None]


class RunFailedError(HotswapError):
    """The run ended without a version."""

    def __init__(self, cause: TrainingFailureCause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


class BadOutputError(HotswapError):
    """The trainer said what is no line of the protocol, or too much."""


class TrainerEnd(Struct, frozen=True, kw_only=True):
    """How a trainer ended, beside what it said of it itself."""

    cause: TrainingFailureCause | None = None
    """None: well."""
    detail: str = ""


class RunningTrainer(Protocol):
    """A trainer that works on one order."""

    @property
    def log(self) -> str:
        """The end of its log."""
        ...

    async def listen(self, on_line: OnLine) -> TrainerEnd:
        """Hand over the order and hear the trainer to its end.

        Raises:
            BadOutputError: It said what is no line of the protocol, or too much.
        """
        ...

    def stop(self) -> None:
        """Tell it to stop; what does not within some seconds is ended when its context is left."""
        ...


class TrainerPlace(Protocol):
    """Does runs of one trainer."""

    @property
    def grace_seconds(self) -> float | None:
        """A trainer that says nothing for so long is taken to have begun; None: it begins when it says something."""
        ...

    def open(self, order: TrainerOrder, folder: Path) -> AbstractAsyncContextManager[RunningTrainer]:
        """Open the place for one order; whatever happens inside, nothing of the run goes on at the end.

        Args:
            order: What is to be done; the paths in it are of this machine.
            folder: What the trainer leaves must be in here at its end.

        Raises:
            RunFailedError: It cannot be begun.
            OSError: The same.
        """
        ...
