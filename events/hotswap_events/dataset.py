"""Datasets: rows for training, built from requests and what turned out about them; and how long requests stay.

A dataset is an artifact, named by its digest. Its query says which records it was made of: the same query gives the
same bytes for as long as the topics keep those records, and afterwards the artifact stays. One that was a file has no
query; it says what the file was called.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.bounds import INT64_MAX
from hotswap_events.command import Command
from hotswap_events.inference.signature import TENSORS_MAX, TensorSignature

PARTITIONS_MAX = 1_024
RECORDS_MAX = 20_000_000
"""Records of one kind, requests or feedback, that one query may name."""
ROWS_MAX = 10_000_000
LABELS_MAX = 1_000
ACTORS_MAX = 100
RETENTION_SECONDS_MIN, RETENTION_SECONDS_MAX = 60, 10 * 366 * 86_400
RETENTION_BYTES_MIN = 16 * 1_048_576
"""Two files of the broker that each hold the longest request."""

_Count = Annotated[int, Meta(ge=0, le=INT64_MAX)]
_Digest = Annotated[str, Meta(extra_json_schema={"pattern": "^sha256:[0-9a-f]{64}$"})]
DatasetName = Annotated[str, Meta(min_length=1, max_length=63)]
SourceName = Annotated[str, Meta(min_length=1, max_length=512)]
Truth = Literal["label", "value", "reward", "items"]
Contradictions = Literal["drop", "first", "last"]


class OffsetRange(Struct, frozen=True, kw_only=True, gc=False):
    """Records of one partition, from `first` up to and without `until`."""

    partition: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    first: Annotated[int, Meta(ge=0, le=INT64_MAX)]
    until: Annotated[int, Meta(ge=0, le=INT64_MAX)]


Ranges = Annotated[tuple[OffsetRange, ...], Meta(max_length=PARTITIONS_MAX)]


class DatasetFilter(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Which rows are taken of those that have what turned out about them. What is left empty takes all."""

    labels: Annotated[tuple[Annotated[int, Meta(ge=0, le=2**31 - 1)], ...], Meta(max_length=LABELS_MAX)] = ()
    """Only these classes."""
    actors: Annotated[tuple[Annotated[str, Meta(max_length=200)], ...], Meta(max_length=ACTORS_MAX)] = ()
    """Only what these people or programs said, as their feedback names them."""
    reward_min: float | None = None
    """Only where a reward of at least this much was given."""


class DatasetSplit(Struct, frozen=True, kw_only=True, gc=False):
    """A part of the requests by the hash of their ids, from 0 up to 1: the same request is always in the same part.

    The hash is the first 8 bytes, big-endian, of BLAKE2b-64 of seed, a null byte and the id, over 2^64. A request
    without an id is named by its place, as `3:812`.
    """

    begin: Annotated[float, Meta(ge=0, le=1)]
    end: Annotated[float, Meta(ge=0, le=1)]
    """Not in it."""
    seed: Annotated[str, Meta(max_length=128)] = ""


class DatasetQuery(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the bytes of a dataset depend on, beside the records that it names."""

    ranges: Ranges
    """Of the model's requests."""
    feedback: Ranges
    """Of the feedback: what was known at that time. What came later changes nothing."""
    inputs: Annotated[tuple[TensorSignature, ...], Meta(min_length=1, max_length=TENSORS_MAX)]
    """What a request must have to be a row, as a version of the model takes it."""
    truth: Truth
    """What of the feedback becomes the row's truth. `label`: the class, as `labels`. `value`: the number or numbers, as
    `target`. `reward`: as `target`. `items`: each chosen item makes a row of its own, with it as `labels`."""
    batching: Literal["rows", "request"] = "rows"
    contradictions: Contradictions = "drop"
    """What becomes of a request about which two pieces of feedback say different things: no row, or a row by the first
    or the last of them."""
    label_seconds_max: Annotated[float, Meta(gt=0, le=1e10)] = 7 * 86_400.0
    """Feedback that was written longer after its request is late, and not taken."""
    where: DatasetFilter | None = None
    split: DatasetSplit | None = None
    excluded_set: _Digest | None = None
    """The validation set: rows whose inputs are those of one of its rows are left out."""
    rows_max: Annotated[int, Meta(ge=1, le=ROWS_MAX)] = 1_000_000
    """With more than that there is no dataset, but an error."""
    rule: Literal[1] = 1
    """By which rule rows are made; a later release that makes them otherwise has another number."""


class DatasetCounts(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was read, and what became of it.

    Each request is counted once among `unlabelled`, `unreadable`, `filtered`, `other_part`, `unfit`, `many_rows`,
    `in_validation_set` and, where contradictions are dropped, `contradicting`; the others are rows.
    """

    requests: _Count = 0
    """Records in the ranges."""
    rows: _Count = 0
    """In the dataset."""
    unreadable: _Count = 0
    """Records about which something was known, and which are no requests."""
    unfit: _Count = 0
    """Requests that the signature does not take, or whose truth is of another kind or shape than the first row's."""
    many_rows: _Count = 0
    """Requests of more than one row: feedback is about a whole answer."""
    unlabelled: _Count = 0
    """Requests about which nothing was known in time; they are not looked at."""
    contradicting: _Count = 0
    """Requests about which two pieces of feedback say different things, whatever was done with them."""
    filtered: _Count = 0
    """Left out by the filter."""
    other_part: _Count = 0
    """In another part of the split."""
    in_validation_set: _Count = 0
    """Left out because the validation set has them."""
    feedback: _Count = 0
    """Records of feedback about this model, in their ranges."""
    feedback_unreadable: _Count = 0
    """Records there that are no feedback, of whichever model."""
    feedback_repeated: _Count = 0
    """Feedback with an id that an earlier one had."""
    feedback_late: _Count = 0
    """Feedback that came too long after its request."""
    feedback_elsewhere: _Count = 0
    """Feedback about requests outside the ranges, or that says nothing of the kind that is asked for."""


class DatasetBuilt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dataset of the model lies in the artifact store."""

    artifact_digest: _Digest
    size_bytes: Annotated[int, Meta(ge=1)]
    query: DatasetQuery | None = None
    """Absent where the dataset was handed in as a file."""
    counts: DatasetCounts
    """Of a file, its rows alone."""
    dataset_name: DatasetName | None = None
    """The name stands for this dataset from here on, where it stood for an older one before."""
    source: SourceName | None = None
    """What the file was called where it came from."""


class RequestRetention(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How long a model's requests and answers are kept. Whichever limit comes first."""

    seconds: Annotated[int, Meta(ge=RETENTION_SECONDS_MIN, le=RETENTION_SECONDS_MAX)] = 7 * 86_400
    partition_bytes: Annotated[int, Meta(ge=RETENTION_BYTES_MIN, le=INT64_MAX)] | None = None
    """Of each partition of either topic; absent: any size."""


class RequestRetentionSet(Struct, frozen=True, kw_only=True, gc=False):
    """Requests and answers of the model are kept so long from here on, those that are there too."""

    retention: RequestRetention


class RecordDataset(Command, frozen=True, tag="hotswap.command.record-dataset.v1"):
    """Record a dataset that lies in the artifact store: one that was built has a query, one from a file a source."""

    artifact_digest: _Digest
    size_bytes: Annotated[int, Meta(ge=1)]
    counts: DatasetCounts
    query: DatasetQuery | None = None
    dataset_name: DatasetName | None = None
    source: SourceName | None = None


class SetRequestRetention(Command, frozen=True, tag="hotswap.command.set-request-retention.v1"):
    """Keep the model's requests and answers so long from here on."""

    retention: RequestRetention


DatasetEvent = DatasetBuilt | RequestRetentionSet
DatasetCommand = RecordDataset | SetRequestRetention

DATASET_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.model.dataset-built.v1": DatasetBuilt,
    "hotswap.model.request-retention-set.v1": RequestRetentionSet,
}
"""Stored type name → class."""
