"""What workers say of their answers on `hotswap.observations`: small records that add up, one per second and version.

An observation has the same size at 100 answers a second and at 50,000. Counts, sums and histograms of two records are
added number by number; sketches are merged. Key: the model name, so that one partition has all of a model's records.
"""

import math
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from hotswap_events.bounds import (
    INT64_MAX,
    REWARD_MAX,
    SQUARES_MAX,
    SUM_MAX,
    Count,
    Index,
    Milliseconds,
    Name,
    Offset,
    Partition,
    check_time,
)
from hotswap_events.command import Actor, ModelName, ModelVersion
from hotswap_events.envelope import Timestamp
from hotswap_events.inference.messages import ErrorCode, InferTensor

ObservationRole = Literal["primary", "shadow", "pinned", "probe", "fallback", "refused"]

OBSERVATION_SECONDS = 1.0
"""A worker sends what it has seen this often, later while Kafka takes nothing."""

LABELS_MAX = 64
"""Labels counted by name in one record; those of the rarer ones are `labels_other`."""
SKETCH_K = 128
"""Accuracy of the sketches: their normalized rank error is about 2 %."""
SCORE_SKETCH = "score"
INPUT_SKETCH = "input"
"""Name of the sketch of each row's mean in the first input; `input.3` is that of its element 3, where it has few."""
FEATURES_MAX = 4
"""Elements of the first input that have a sketch of their own."""

SKETCHES_MAX = 16
SKETCH_CHARACTERS_MAX = 65_536
OUTPUTS_MAX = 1_024

LatencyBucket = Annotated[int, Meta(ge=-80, le=160)]
SketchText = Annotated[str, Meta(max_length=SKETCH_CHARACTERS_MAX)]
SumOfValues = Annotated[float, Meta(ge=-SUM_MAX, le=SUM_MAX)]
SumOfSquares = Annotated[float, Meta(ge=0.0, le=SQUARES_MAX)]
Labels = Annotated[dict[Index, Count], Meta(max_length=LABELS_MAX)]
Sketches = Annotated[dict[Name, SketchText], Meta(max_length=SKETCHES_MAX)]
PassRows = Annotated[dict[Annotated[int, Meta(ge=0, le=31)], Count], Meta(max_length=32)]
Outputs = Annotated[tuple[InferTensor, ...], Meta(max_length=OUTPUTS_MAX)]
FeedbackId = Annotated[str, Meta(min_length=1, max_length=256)]
Reward = Annotated[float, Meta(ge=-REWARD_MAX, le=REWARD_MAX)]

VALUES_MAX = 1_024
"""True numbers in one piece of feedback."""
ITEMS_MAX = 100
ITEM_CHARACTERS_MAX = 256

TrueNumber = Annotated[float, Meta(ge=-REWARD_MAX, le=REWARD_MAX)]
TrueValue = TrueNumber | Annotated[tuple[TrueNumber, ...], Meta(min_length=1, max_length=VALUES_MAX)]
"""One number, or one for each number of the answer."""
Item = (
    Annotated[int, Meta(ge=-INT64_MAX, le=INT64_MAX)]
    | Annotated[str, Meta(min_length=1, max_length=ITEM_CHARACTERS_MAX)]
)
"""The index of a score where the answer scores all items; the item itself where it lists them."""
Items = Annotated[tuple[Item, ...], Meta(max_length=ITEMS_MAX)]


class Sums(Struct, frozen=True, gc=False):
    """Count, sum and sum of squares of values."""

    count: Count = 0
    total: SumOfValues = 0.0
    squares: SumOfSquares = 0.0


class LatencyCounts(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A histogram of milliseconds. Bucket b holds values above 2^((b−1)/8) and up to 2^(b/8): they are 9 % wide.

    The lowest bucket, −80, holds everything below; the highest, 160, everything above.
    """

    buckets: dict[LatencyBucket, Count] = {}
    total_ms: Milliseconds = 0.0
    """Sum of the values: with their count it gives the mean."""
    slow: Count = 0
    """Values above `slow_ms` of the observation, exact."""


class Observation(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one worker saw of one version in one role, since its last record of it. Only when there was something.

    Idempotency: a worker that is not sure whether a record arrived sends it again with the same `sequence`. Skip those
    whose sequence is not above the highest of the same `worker_run` and model. A gap says that records were lost.
    """

    worker: Name
    worker_run: Name
    """Unique to each start of the worker."""
    sequence: Annotated[int, Meta(ge=1, le=INT64_MAX)]
    """1, 2, 3 … over the records of this run and model."""
    model_name: ModelName
    model_version: ModelVersion | None = None
    """None: requests that were refused before a version was chosen (`role` is then `refused`)."""
    role: ObservationRole
    """`primary`: by the split of the traffic, also the active version without a rollout. `pinned`: the request named
    the version. `probe`: while its circuit is half-open. `fallback`: it answered in place of another. `shadow`: its
    answers went to nobody."""
    rollout_id: Name | None = None
    """The rollout that was on when the version was chosen."""
    since: Timestamp
    until: Timestamp
    """The answers were given between these times, by the worker's clock."""
    answers: Count = 0
    """Requests answered well, one each however many rows they have."""
    errors: dict[ErrorCode, Count] = {}
    """Requests answered with an error, by its code."""
    rows: Count = 0
    """Rows of those answered well."""
    compute: LatencyCounts = LatencyCounts()
    """Duration of the forward pass that each answer was computed in. Compare versions by this one."""
    total: LatencyCounts = LatencyCounts()
    """From the request's record timestamp to the end of its forward pass: what a caller waits, but for the network.
    Shadows have none."""
    queue: LatencyCounts = LatencyCounts()
    """From the request's record timestamp to the begin of its forward pass. Shadows have none."""
    pass_rows: PassRows = {}
    """Forward passes by the rows that they answered: under n, those of more than 2^(n−1) and up to 2^n. Of shadows
    none."""
    slow_ms: Annotated[float, Meta(ge=0.0)] | None = None
    """What `slow` was counted by: the least `slow_ms` in the rollout's policy."""
    labels: Labels = {}
    """Rows by the index of their largest class score; empty where the first output holds no class scores."""
    labels_other: Count = 0
    agreed: Count = 0
    """Of a shadow: rows whose label is that of the primary, or whose values are close to it."""
    disagreed: Count = 0
    skipped: Count = 0
    """Requests the shadow should have seen and did not, because the worker had to answer others."""
    score: Sums = Sums()
    """Of each row: its largest class score, else the mean of the first output."""
    score_difference: Sums = Sums()
    """Of a shadow: its score less that of the primary."""
    input: Sums = Sums()
    """Of the mean of the first input's rows: of a sample of them."""
    sketches: Sketches = {}
    """Name → KLL sketch of floats (Apache DataSketches, base64) of a sample of the rows."""

    def __post_init__(self) -> None:
        check_time("since", self.since)
        check_time("until", self.until)


class Comparison(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One request as the primary and a shadow answered it, on `hotswap.comparisons`.

    A sample; all are counted in the observations.
    """

    model_name: ModelName
    rollout_id: Name | None = None
    worker: Name
    request_partition: Partition
    request_offset: Offset
    request_id: str | None = None
    at: Timestamp
    primary_version: ModelVersion
    shadow_version: ModelVersion
    agree: bool
    """In all of the request's rows."""
    primary_compute_ms: Milliseconds
    shadow_compute_ms: Milliseconds
    """Of the forward passes, which other requests were in too."""
    primary_outputs: Outputs = ()
    shadow_outputs: Outputs = ()
    """Left out where they are large."""
    shadow_error: str | None = None

    def __post_init__(self) -> None:
        check_time("at", self.at)


class Feedback(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What turned out later about an answer, on `hotswap.feedback`. Key: the model name.

    It names the answer by its request's partition and offset, as every answer carries them, or by the request's id.
    """

    model_name: ModelName
    feedback_id: FeedbackId
    """The same id again is the same feedback, sent twice."""
    at: Timestamp
    """When it was known."""
    request_partition: Partition | None = None
    request_offset: Offset | None = None
    request_id: FeedbackId | None = None
    model_version: Name | None = None
    """The version that the sender has seen in the answer; what the answer itself says decides."""
    label: Index | None = None
    """The true class: the index of the score that should have been the largest."""
    reward: Reward | None = None
    """How good the answer was: higher is better."""
    value: TrueValue | None = None
    """What the answer should have said: the true number, or as many as its first output holds, row-major."""
    items: Items = ()
    """What was clicked or chosen of what the answer ranks: indexes of its scores, or the items themselves where its
    first output lists them, the best one first."""
    actor: Actor | None = None
    parameters: dict[str, Any] = {}
    """Whatever else belongs to it; not looked at."""

    def __post_init__(self) -> None:
        check_time("at", self.at)
        if (self.request_partition is None) != (self.request_offset is None):
            raise ValueError("request_partition and request_offset come together")
        if self.request_offset is None and self.request_id is None:
            raise ValueError("give request_partition and request_offset, as the answer has them, or request_id")
        if self.label is None and self.reward is None and self.value is None and not self.items:
            raise ValueError(
                "give label (the true class's index), value (the true number or numbers), items (what was chosen of "
                "what the answer ranks), or reward (a number, higher is better)"
            )
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        if not all(number is None or math.isfinite(number) for number in (*values, self.reward)):
            raise ValueError("value and reward are finite numbers; leave out what is not known")
