"""What each worker says of itself on `hotswap.fleet` (compacted; key `<worker>/<model>`; null when it left)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.bounds import INT64_MAX, Count, Name, Partition
from hotswap_events.command import ModelName, ModelVersion

LoadState = Literal["loading", "loaded", "serving", "failed"]

HEARTBEAT_SECONDS = 2.0
"""A worker repeats its record this often, changed or not."""

LIVE_SECONDS_MAX = 10.0
"""A worker that was not heard of for longer, by the listener's clock, is not counted as part of the fleet."""

VERSIONS_MAX = 10_000
PARTITIONS_MAX = 100_000


class FleetVersion(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One version in one worker."""

    state: LoadState
    artifact_digest: Name
    error: str | None = None


class ObservationsLost(Struct, frozen=True, kw_only=True, gc=False):
    """What a worker could not tell of one model's answers, since it started. Every answer was given all the same."""

    answers_not_counted: Count = 0
    """There were too many versions in use at once to count these, too."""
    comparisons_dropped: Count = 0
    """Pairs of a primary's and a shadow's outputs that could not be sent, and are not in the sample."""
    records_dropped: Count = 0
    """Observations that were too large to send."""


class FleetRecord(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One worker's view of one model."""

    worker: Name
    model_name: ModelName
    registry_offset: Annotated[int, Meta(ge=-1, le=INT64_MAX)]
    """The worker has folded the registry log up to and with this offset."""
    versions: Annotated[dict[ModelVersion, FleetVersion], Meta(max_length=VERSIONS_MAX)]
    serving_version: ModelVersion | None = None
    serving_registry_offset: Annotated[int, Meta(ge=-1, le=INT64_MAX)] | None = None
    """Of the event that chose the serving version."""
    partitions: Annotated[tuple[Partition, ...], Meta(max_length=PARTITIONS_MAX)] = ()
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
