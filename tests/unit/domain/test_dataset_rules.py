"""Datasets of a model and the retention of its requests: what may be recorded, and what a name stands for."""

import math
from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.dataset import (
    DatasetCounts,
    DatasetFilter,
    DatasetSplit,
    OffsetRange,
    RequestRetention,
    RequestRetentionSet,
)
from hotswap_events.inference.signature import TensorSignature
from hotswap_stream.domain.dataset_rules import DATASETS_MAX, resolve_dataset
from tests.support.decider_specification import given, state_after
from tests.support.samples.datasets import EVERYTHING, dataset_built, query_of, record_dataset, set_retention
from tests.support.samples.registry import trained

REGISTERED = (trained("v1"),)


def test_a_dataset_is_recorded_once_and_a_name_moves_on() -> None:
    given(*REGISTERED).when(record_dataset()).then(dataset_built())
    given(*REGISTERED, dataset_built()).when(record_dataset()).then_nothing("the same bytes from the same origin")
    given(*REGISTERED, dataset_built()).when(record_dataset(dataset_name="week")).then(dataset_built("first", "week"))
    given(*REGISTERED, dataset_built()).when(record_dataset(query=EVERYTHING)).then(dataset_built(query=EVERYTHING))
    given().when(record_dataset()).then_refused("unknown-model")


def test_a_file_may_begin_a_model_and_a_query_or_a_source_says_where_rows_come_from() -> None:
    file: dict[str, Any] = {"query": None, "source": "wine.npz", "counts": DatasetCounts(rows=178)}
    given().when(record_dataset(**file)).then(dataset_built(**file))
    given(dataset_built(**file)).when(record_dataset(**file)).then_nothing("the same bytes from the same origin")
    given(dataset_built(**file)).when(record_dataset(**file | {"source": "w.npz"})).then(
        dataset_built(**file | {"source": "w.npz"})
    )
    wrongs: tuple[dict[str, Any], ...] = ({"query": None}, {"source": "wine.npz"})
    for wrong in wrongs:
        given(*REGISTERED).when(record_dataset(**wrong)).then_refused("invalid-value", "either a query")
    state = state_after(*REGISTERED, dataset_built("one", "week"), dataset_built("two", "week"))
    two = dataset_built("two", "week")
    assert [found.built for found in state.datasets.values()] == [dataset_built("one", "week"), two]
    for named in ("week", two.artifact_digest):
        found = resolve_dataset(state, named)
        assert found is not None
        assert (found.built, found.sequence) == (two, 3)
    assert resolve_dataset(state, "month") is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (record_dataset(artifact_digest="sha256:no"), "64 lower-case hex digits"),
        (record_dataset(size_bytes=0), "at least one row and one byte"),
        (record_dataset(counts=DatasetCounts(requests=10)), "at least one row"),
        (record_dataset(counts=DatasetCounts(rows=-1)), "counts"),
        (record_dataset(dataset_name="sha256:ab"), "dataset name 'sha256:ab' is not valid"),
        (record_dataset(query=query_of(ranges=())), "no requests to build of"),
        (
            record_dataset(query=query_of(ranges=(OffsetRange(partition=0, first=5, until=4),))),
            "partition 0 ends at 4 before it begins at 5",
        ),
        (record_dataset(query=query_of(ranges=(OffsetRange(partition=0, first=0, until=4),) * 2)), "each once"),
        (record_dataset(query=query_of(feedback=(OffsetRange(partition=0, first=5, until=4),))), "query.feedback"),
        (record_dataset(query=query_of(split=DatasetSplit(begin=0.5, end=0.5))), "no request can be in it"),
        (record_dataset(query=query_of(rows_max=0)), "query"),
        (record_dataset(query=query_of(where=DatasetFilter(reward_min=math.nan))), "finite"),
        (
            record_dataset(query=query_of(inputs=(TensorSignature(name="a", datatype="FP32", shape=(-1,)),) * 2)),
            "names an input twice",
        ),
        (set_retention(RequestRetention(seconds=1)), "60"),
        (set_retention(RequestRetention(partition_bytes=1)), "partition_bytes"),
    ],
)
def test_what_cannot_be(command: AnyCommand, words: str) -> None:
    given(*REGISTERED).when(command).then_refused("invalid-value", words)


def test_there_is_a_most_of_datasets() -> None:
    state = state_after(*REGISTERED)
    many = {f"sha256:{number:064x}": state for number in range(DATASETS_MAX)}
    state.datasets.update(many)  # type: ignore[arg-type]  # their number is all that is looked at
    from hotswap_events.commands import Refusal
    from hotswap_stream.domain.decide import decide

    refusal = decide(state, replace(record_dataset(), command_id="one-too-many"))
    assert isinstance(refusal, Refusal)
    assert "1000 datasets, the most there may be" in refusal.reason


def test_retention_is_set_and_changed() -> None:
    hour, week = RequestRetention(seconds=3_600), RequestRetention()
    given(*REGISTERED).when(set_retention(hour)).then(RequestRetentionSet(retention=hour))
    given(*REGISTERED, RequestRetentionSet(retention=hour)).when(set_retention(hour)).then_nothing("already")
    given(*REGISTERED, RequestRetentionSet(retention=hour)).when(set_retention(week)).then(
        RequestRetentionSet(retention=week)
    )
    assert state_after(*REGISTERED, RequestRetentionSet(retention=hour)).request_retention == hour
