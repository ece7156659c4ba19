"""What the messages of `/api/live` hold, by the name of their event."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from hotswap_events.registry.state import RegistryState
from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.api.monitoring.health import Status
from hotswap_stream.application.monitoring.health import ModelHealth
from hotswap_stream.application.monitoring.overview import ModelLine, Overview
from hotswap_stream.application.registry.feed import LogEntry
from hotswap_stream.application.registry.queries import ModelSummary
from hotswap_stream.application.rollouts.view import RolloutReport


class LiveBeginning(Struct, frozen=True, kw_only=True):
    """All there is, as it is when the stream begins: the first message, of the event `beginning`."""

    offset: int
    """The registry log is read up to, not including, this offset; events before it are in what follows."""
    status: Status
    overview: Overview
    models: tuple[ModelSummary, ...]
    """By name."""
    evidence: tuple[RolloutEvidence, ...]
    """The newest of each metric of the rollouts that go on."""
    training: tuple[TrainingProgressed, ...]
    """How far the training runs are that have a runner."""


class LiveState(Struct, frozen=True, kw_only=True):
    """A model after one or more of its events, of the event `state`."""

    offset: int
    """Offset of the model's last event."""
    summary: ModelSummary
    model: RegistryState
    rollout: RolloutReport


class LiveObserved(Struct, frozen=True, kw_only=True):
    """How models do, of the event `observed`: each second those whose figures changed, after the beginning all."""

    at: datetime
    known: bool
    """Whether the observations of the workers are read here; else the figures are as old as they may be."""
    hurts: int
    needs_you: int
    moves: int
    calm: int
    requests_per_second: float | None
    """The rate of all models together."""
    lines: tuple[ModelLine, ...]
    """As in the overview."""
    health: tuple[ModelHealth, ...]
    """Health of the same models; empty while the observations are not read."""


class LiveHeartbeat(Struct, frozen=True, kw_only=True):
    """The server is there, of the event `heartbeat`."""

    at: datetime
    offset: int
    """The registry log is read up to, not including, this offset."""
    behind_by: int | None
    """Records of the log that are not read yet; null: it cannot be asked, and what is shown may be old."""


class LiveEnd(Struct, frozen=True, kw_only=True):
    """Why the stream ends, of the event `end`, the last one."""

    reason: str
    next_offset: int
    """Where to go on: as `from_offset`, or one less as `Last-Event-ID`."""


class LiveMessages(Struct, frozen=True, kw_only=True):
    """What the data of a message is, by the name of its event; one message has one of them."""

    beginning: LiveBeginning | UnsetType = UNSET
    state: LiveState | UnsetType = UNSET
    event: LogEntry | UnsetType = UNSET
    observed: LiveObserved | UnsetType = UNSET
    evidence: RolloutEvidence | UnsetType = UNSET
    training: TrainingProgressed | UnsetType = UNSET
    heartbeat: LiveHeartbeat | UnsetType = UNSET
    end: LiveEnd | UnsetType = UNSET
