"""One training run, as its model's events left it."""

from typing import Literal

from msgspec import Struct

from hotswap_events.envelope import Timestamp
from hotswap_events.training.events import TrainingRequested

RUNS_ENDED_KEPT_MAX = 200
"""Runs that ended and that a state remembers; the log has them all."""

RunStatus = Literal["requested", "claimed", "running", "succeeded", "failed", "cancelled"]
OPEN_STATUSES: frozenset[str] = frozenset({"requested", "claimed", "running"})


class RunState(Struct, frozen=True, gc=False):
    """One training run."""

    run_id: str
    status: RunStatus
    detail: str | None = None
    request: TrainingRequested | None = None
    """What was asked for; None: it was started where it ran, and nobody asked for it in the log."""
    requested_by: str | None = None
    requested_reason: str | None = None
    requested_at: Timestamp | None = None
    runner: str | None = None
    """Who does it."""
    claimed_at: Timestamp | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    ended_by: str | None = None
    model_version: str | None = None
    """What came of it."""

    @property
    def is_open(self) -> bool:
        """Whether something may come of it yet."""
        return self.status in OPEN_STATUSES
