"""Sample datasets of the sample model, and how long its requests are kept."""

from typing import Any

from hotswap_events.commands import RecordDataset, SetRequestRetention
from hotswap_events.dataset import (
    DatasetBuilt,
    DatasetCounts,
    DatasetFilter,
    DatasetQuery,
    DatasetSplit,
    OffsetRange,
    RequestRetention,
    RequestRetentionSet,
)
from hotswap_events.inference.signature import TensorSignature
from hotswap_events.registry.events import RegistryEvent
from tests.support.samples.registry import MODEL, CountingIds, artifact_of

_command_ids = CountingIds("dataset-command")

COUNTS = DatasetCounts(requests=1_200, rows=1_000, unlabelled=190, contradicting=10, feedback=1_010)


def query_of(**fields: Any) -> DatasetQuery:
    defaults: dict[str, Any] = {
        "ranges": (OffsetRange(partition=0, first=0, until=600), OffsetRange(partition=1, first=5, until=605)),
        "feedback": (OffsetRange(partition=2, first=0, until=1_010),),
        "inputs": (TensorSignature(name="image", datatype="FP32", shape=(-1, 784)),),
        "truth": "label",
    }
    return DatasetQuery(**{**defaults, **fields})


def record_dataset(name: str = "first", dataset_name: str | None = None, **attributes: Any) -> RecordDataset:
    artifact = artifact_of(f"dataset-{name}")
    fields: dict[str, Any] = {
        "actor": "alice",
        "model_name": MODEL,
        "command_id": _command_ids.new_id(),
        "artifact_digest": artifact.digest,
        "size_bytes": artifact.size_bytes,
        "query": query_of(),
        "counts": COUNTS,
        "dataset_name": dataset_name,
        **attributes,
    }
    return RecordDataset(**fields)


def dataset_built(name: str = "first", dataset_name: str | None = None, **fields: Any) -> DatasetBuilt:
    artifact = artifact_of(f"dataset-{name}")
    defaults: dict[str, Any] = {
        "artifact_digest": artifact.digest,
        "size_bytes": artifact.size_bytes,
        "query": query_of(),
        "counts": COUNTS,
        "dataset_name": dataset_name,
    }
    return DatasetBuilt(**{**defaults, **fields})


def set_retention(retention: RequestRetention | None = None, **attributes: Any) -> SetRequestRetention:
    fields = {"actor": "alice", "model_name": MODEL, "command_id": _command_ids.new_id(), **attributes}
    return SetRequestRetention(retention=retention or RequestRetention(seconds=3_600), **fields)


EVERYTHING = query_of(
    truth="reward",
    batching="request",
    contradictions="last",
    label_seconds_max=60.0,
    where=DatasetFilter(labels=(1, 2), actors=("ada",), reward_min=0.5),
    split=DatasetSplit(begin=0.0, end=0.8, seed="a"),
    excluded_set=artifact_of("set").digest,
    rows_max=10,
)

DESCRIBED: list[tuple[RegistryEvent, str]] = [
    (dataset_built(), "built the dataset of digits (1,000 rows of 1,200 requests, sha256:7a6ac4c2d623)"),
    (
        dataset_built("second", "week-12", query=EVERYTHING),
        "built the dataset week-12 of digits (1,000 rows of 1,200 requests, sha256:d725a2a0824d)",
    ),
    (
        RequestRetentionSet(retention=RequestRetention(seconds=172_800)),
        "set the request retention of digits to 2 d",
    ),
    (
        RequestRetentionSet(retention=RequestRetention(seconds=90, partition_bytes=16_777_216)),
        "set the request retention of digits to 90 s, at most 16,777,216 bytes a partition",
    ),
]
"""Event → how it is told."""
