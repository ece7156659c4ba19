"""What is known of a model's datasets, for people and programs that ask."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from hotswap_events.commands import CommandResult, Refusal
from hotswap_events.dataset import DatasetCounts, DatasetQuery, RequestRetention
from hotswap_stream.application.datasets.order import unknown_dataset
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.domain.dataset_rules import resolve_dataset
from hotswap_stream.domain.state.model import DatasetState, ModelState


class DatasetView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dataset."""

    artifact_digest: str
    model_name: str
    names: tuple[str, ...]
    """That stand for it now."""
    rows: int
    size_bytes: int
    built_at: Annotated[datetime, Meta(tz=True)]
    built_by: str
    sequence: int
    """Stream position of the event that recorded it."""
    query: DatasetQuery | None = None
    """Absent where the dataset was handed in as a file."""
    counts: DatasetCounts
    source: str | None = None
    """What that file was called."""


class BuiltDataset(Struct, frozen=True, kw_only=True):
    """What became of an order."""

    result: CommandResult
    dataset: DatasetView | None = None
    """None where it was refused."""


class DatasetList(Struct, frozen=True, kw_only=True):
    """Newest first."""

    model_name: str
    datasets: tuple[DatasetView, ...]


class RetentionReport(Struct, frozen=True, kw_only=True):
    """How long the requests and answers of a model are kept."""

    model_name: str
    retention: RequestRetention
    is_default: bool
    """None was set for the model."""


def list_datasets(streams: Streams, model_name: str) -> DatasetList | Refusal:
    """Return all datasets of a model."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    state = stream.state
    return DatasetList(
        model_name=model_name, datasets=tuple(dataset_view(state, each) for each in reversed(state.datasets.values()))
    )


def find_dataset(streams: Streams, model_name: str, named: str) -> DatasetView | Refusal:
    """Return the dataset with this digest or name."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    found = resolve_dataset(stream.state, named)
    if found is None:
        return Refusal(
            code="unknown-dataset",
            reason=unknown_dataset(stream.state, named),
            legal=tuple(stream.state.dataset_names),
        )
    return dataset_view(stream.state, found)


def dataset_view(state: ModelState, found: DatasetState) -> DatasetView:
    """Return what is told of a dataset."""
    built = found.built
    return DatasetView(
        artifact_digest=built.artifact_digest,
        model_name=state.model_name,
        names=tuple(name for name, digest in state.dataset_names.items() if digest == built.artifact_digest),
        rows=built.counts.rows,
        size_bytes=built.size_bytes,
        built_at=found.at,
        built_by=found.actor,
        sequence=found.sequence,
        query=built.query,
        counts=built.counts,
        source=built.source,
    )


def find_retention(streams: Streams, model_name: str) -> RetentionReport | Refusal:
    """Return how long the requests of a model are kept."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    kept = stream.state.request_retention
    return RetentionReport(model_name=model_name, retention=kept or RequestRetention(), is_default=kept is None)
