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
PLUGINS_MAX = 1_000


class FleetPlugin(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Code of the users' own, as a worker has it or lacks it."""

    kind: Literal["architecture", "runtime", "evaluator", "trainer", "executor", "module"]
    """`executor`: a library that computes models; `module`: one that the operator named, and that does not import."""
    name: Name
    package: Name | None = None
    """The Python package that brings it; null if that is not known."""
    version: Name | None = None
    """Of that package."""
    error: str | None = None
    """Why it cannot be used although it is there; null if it can."""


class FleetVersion(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One version in one worker."""

    state: LoadState
    artifact_digest: Name
    error: str | None = None
    missing: FleetPlugin | None = None
    """What the worker lacks to load it; null if it is not for lack of code."""


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
    waiting: Count = 0
    """Requests that wait in these partitions, as of the last look."""
    observations_lost: ObservationsLost = ObservationsLost()
    trouble: str | None = None
    """Why it does not get on with the model's requests; null while it does."""
    stalled_partitions: tuple[int, ...] = ()
    """Those of `partitions` in which requests wait, and none was answered for long."""
    unserved_partitions: tuple[int, ...] = ()
    """Request partitions given to it that it cannot answer: the model's topics do not fit each other."""
    advice: str | None = None
    """What somebody should mend, and how."""
    plugins: Annotated[tuple[FleetPlugin, ...], Meta(max_length=PLUGINS_MAX)] = ()
    """Architectures and runtimes that the worker has beside those that it always has."""
    kinds: Annotated[tuple[Name, ...], Meta(max_length=PLUGINS_MAX)] = ()
    """Kinds of artifacts that it can load: what they need is installed. Empty: it does not say."""
    release: Name | None = None
    """Of hotswap-stream, that the worker runs; null if it does not say."""
