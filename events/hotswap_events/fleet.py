"""What each worker says of itself on `hotswap.fleet` (compacted; key `<worker>/<model>`; null when it left)."""

from typing import Literal

from msgspec import Struct

LoadState = Literal["loading", "loaded", "serving", "failed"]

HEARTBEAT_SECONDS = 2.0
"""A worker repeats its record this often, changed or not."""

LIVE_SECONDS_MAX = 10.0
"""A worker whose last record is older is not counted as part of the fleet."""


class FleetVersion(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One version in one worker."""

    state: LoadState
    artifact_digest: str
    error: str | None = None


class ObservationsLost(Struct, frozen=True, kw_only=True, gc=False):
    """What a worker could not tell of one model's answers, since it started. Every answer was given all the same."""

    answers_not_counted: int = 0
    """There were too many versions in use at once to count these, too."""
    comparisons_dropped: int = 0
    """Pairs of a primary's and a shadow's outputs that could not be sent, and are not in the sample."""
    records_dropped: int = 0
    """Observations that were too large to send."""


class FleetRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One worker's view of one model."""

    worker: str
    model_name: str
    registry_offset: int
    """The worker has folded the registry log up to and with this offset."""
    versions: dict[str, FleetVersion]
    serving_version: str | None = None
    serving_registry_offset: int | None = None
    """Of the event that chose the serving version."""
    partitions: tuple[int, ...] = ()
    """Request partitions it answers."""
    observations_lost: ObservationsLost = ObservationsLost()
    trouble: str | None = None
    """Why it does not get on with the model's requests; null while it does."""
    stalled_partitions: tuple[int, ...] = ()
    """Those of `partitions` in which requests wait, and none was answered for long."""
    unserved_partitions: tuple[int, ...] = ()
    """Request partitions given to it that it cannot answer: the model's topics do not fit each other."""
    advice: str | None = None
    """What somebody should mend, and how."""
