"""Events of datasets, and of how long requests are kept, in a few words for people."""

from collections.abc import Callable
from typing import Any

from hotswap_events.dataset import DatasetBuilt, RequestRetention, RequestRetentionSet

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def retention_text(retention: RequestRetention) -> str:
    """Return how long requests are kept, as `7 d, at most 16,777,216 bytes a partition`."""
    unit, name = next(((unit, name) for unit, name in _UNITS if not retention.seconds % unit), (1, "s"))
    size = "" if retention.partition_bytes is None else f", at most {retention.partition_bytes:,} bytes a partition"
    return f"{retention.seconds // unit} {name}{size}"


def _built(data: DatasetBuilt, model: str) -> str:
    named = "" if data.dataset_name is None else f" {data.dataset_name}"
    if data.source is not None:
        return f"added the dataset{named} of {model} ({data.counts.rows:,} rows, {data.artifact_digest[:19]})"
    return (
        f"built the dataset{named} of {model} ({data.counts.rows:,} rows of {data.counts.requests:,} requests, "
        f"{data.artifact_digest[:19]})"
    )


def _retention_set(data: RequestRetentionSet, model: str) -> str:
    return f"set the request retention of {model} to {retention_text(data.retention)}"


DATASET_DESCRIPTIONS: dict[type, Callable[[Any, str], str]] = {
    DatasetBuilt: _built,
    RequestRetentionSet: _retention_set,
}
