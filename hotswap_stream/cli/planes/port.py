"""What commands need of where they go, whether that is the cluster or an API."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from hotswap_events.commands import AnyCommand, CommandResult, Refusal
    from hotswap_events.rollouts.evidence import RolloutEvidence
    from hotswap_events.training.progress import TrainingProgressed
    from hotswap_stream.application.audit.explanation import ExplainedAnswer
    from hotswap_stream.application.inference.fleet import ModelFleet
    from hotswap_stream.application.monitoring.health import ModelHealth
    from hotswap_stream.application.registry.feed import EntryFilter, EventPage
    from hotswap_stream.application.registry.queries import Streams
    from hotswap_stream.application.training.view import TrainingRun

_Answer = TypeVar("_Answer")


class ApiReader(Protocol):
    """GET requests to an API, as of the offset or time of the question."""

    async def get(
        self, path: str, kind: type[_Answer], query: "dict[str, object] | None" = None
    ) -> "_Answer | Refusal":
        """Return what is at the path; what the registry refuses is returned, all else is raised."""
        ...


@dataclass(frozen=True)
class Question(Generic[_Answer]):
    """One question, put to the fold of the log or to an API; the answers are equal."""

    of_streams: "Callable[[Streams], _Answer | Refusal]"
    of_api: "Callable[[ApiReader], Awaitable[_Answer | Refusal]]"


class EventSource(Protocol):
    """The registry log in pages."""

    @property
    def end_offset(self) -> int:
        """The offset that the log's next record will get, as far as it is known."""
        ...

    async def page(self, from_offset: int, *, limit: int, wanted: "EntryFilter") -> "EventPage":
        """Return a page of the log."""
        ...

    async def wait_for_change(self, end_offset: int, stop: asyncio.Event) -> bool:
        """Wait until the log ends elsewhere than there. Return False when `stop` was set before."""
        ...


class ControlPlane(Protocol):
    """The registry and the fleet, as an operator asks and commands them."""

    async def ask(self, question: Question[_Answer], as_of: int | datetime | None = None) -> "_Answer | Refusal":
        """Return the answer now, or as of an offset or a time."""
        ...

    async def send(self, command: "AnyCommand") -> "CommandResult":
        """Return what became of a command."""
        ...

    async def reload(self, model_version: str | None, fields: "dict[str, Any]") -> "CommandResult":
        """Promote a version, or the newest that passed; `fields` are those that all commands have."""
        ...

    async def fleets(self, model_name: str | None, *, listens: bool = True) -> "tuple[ModelFleet, ...] | Refusal":
        """Return the workers of one model or of all, by name; without `listens` as they were heard of last."""
        ...

    async def evidence(self, model_name: str, rollout_id: str) -> "tuple[RolloutEvidence, ...]":
        """Return what each metric of a rollout that goes on shows now; nothing where that is not known."""
        ...

    async def training_progress(self, run: "TrainingRun") -> "TrainingProgressed | None":
        """Return how far a training run is; None: nothing was heard of it."""
        ...

    async def run_file(self, run: "TrainingRun", name: str) -> bytes:
        """Return a file that a training run left. HotswapError where there is none of this name."""
        ...

    async def health(self) -> "tuple[ModelHealth, ...] | None":
        """Return how each model did in the last minute; None where that is not known."""
        ...

    async def explained(
        self, request_id: str, place: tuple[int, int] | None, model_name: str | None
    ) -> "ExplainedAnswer":
        """Return what chose an answer.

        Args:
            request_id: The id that the request brought; not read with a place.
            place: Partition and offset of the request; then the model is named, too.
            model_name: The model that was asked; None: any.
        """
        ...

    async def event_source(self) -> EventSource:
        """Return the log."""
        ...
