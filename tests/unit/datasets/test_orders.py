"""What an order of a dataset means, and what none can be built of."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.dataset import RECORDS_MAX, OffsetRange, RequestRetention, RequestRetentionSet
from hotswap_events.registry.events import ModelTrained
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.datasets.order import DatasetOrder, Held, Places, query_of
from tests.support.decider_specification import state_after
from tests.support.samples.datasets import dataset_built
from tests.support.samples.datasets import query_of as known_query
from tests.support.samples.registry import promoted, signature_of, trained
from tests.support.samples.validation_sets import chosen, set_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PLACES = Places(requests={0: Held(0, 600), 1: Held(5, 605)}, feedback={2: Held(10, 1_010)})


def version(name: str, features: int = 4) -> ModelTrained:
    made = trained(name)
    return replace(made, artifact=replace(made.artifact, signature=signature_of((-1, features))))


HISTORY = (version("v1"), promoted("v1"), version("v2", 8))


def test_by_default_it_is_all_that_is_there_as_the_active_version_takes_it() -> None:
    query = query_of(DatasetOrder(), state_after(*HISTORY), PLACES)
    assert query.ranges == (
        OffsetRange(partition=0, first=0, until=600),
        OffsetRange(partition=1, first=5, until=605),
    )
    assert query.feedback == (OffsetRange(partition=2, first=10, until=1_010),)
    assert query.inputs == signature_of((-1, 4)).inputs
    assert query.excluded_set is None


def test_another_version_and_the_validation_set_may_be_named() -> None:
    state = state_after(*HISTORY, chosen())
    query = query_of(DatasetOrder(model_version="v2"), state, PLACES)
    assert query.inputs == signature_of((-1, 8)).inputs
    assert query.excluded_set == set_of().artifact_digest


def test_without_an_active_version_the_newest_says_what_a_request_has() -> None:
    assert query_of(DatasetOrder(), state_after(version("v1"), version("v2", 8)), PLACES).inputs == (
        signature_of((-1, 8)).inputs
    )


def test_times_are_places_within_what_is_there() -> None:
    order = DatasetOrder(since=NOW, until=NOW)
    places = replace(PLACES, since={0: 100, 1: 0}, until={0: 200, 1: 10_000})
    assert query_of(order, state_after(*HISTORY), places).ranges == (
        OffsetRange(partition=0, first=100, until=200),
        OffsetRange(partition=1, first=5, until=605),
    )
    turned = replace(PLACES, since={0: 300, 1: 5}, until={0: 200, 1: 6})
    assert query_of(order, state_after(*HISTORY), turned).ranges[0] == OffsetRange(partition=0, first=300, until=300)


def test_a_query_is_asked_again_as_it_was() -> None:
    state = state_after(*HISTORY, dataset_built("first", "monday"))
    places = Places(requests={0: Held(0, 600), 1: Held(0, 605)}, feedback={2: Held(0, 1_010)})
    assert query_of(DatasetOrder(like="monday", dataset_name="again"), state, places) == known_query()


def one(**fields: int) -> tuple[OffsetRange, ...]:
    return (OffsetRange(**{"partition": 0, "first": 0, "until": 10, **fields}),)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (DatasetOrder(like="sunday"), "sunday"),
        (DatasetOrder(like="monday", truth="value"), "give nothing else but a name"),
        (DatasetOrder(like="of-a-file"), "was a file, 'rows.parquet'"),
        (DatasetOrder(ranges=one(), since=NOW), "not by both"),
        (DatasetOrder(ranges=one(), until=NOW), "not by both"),
        (DatasetOrder(model_version="v9"), "no version 'v9'"),
        (DatasetOrder(model_version="old"), "an older release registered it"),
        (DatasetOrder(ranges=one(partition=7)), "no partition 7 of requests; there are 0, 1"),
        (DatasetOrder(feedback=one(partition=7)), "no partition 7 of feedback; there are 2"),
        (DatasetOrder(ranges=one(partition=1)), "of partition 1 are gone: it begins at 5; they are kept for 1 h"),
        (DatasetOrder(feedback=one(partition=2)), "of partition 2 are gone: it begins at 10$"),
        (DatasetOrder(ranges=one(until=601)), "ends at 600, and 601 is asked for"),
        (DatasetOrder(ranges=one(until=0)), "there are no requests"),
        (DatasetOrder(ranges=one(first=10, until=5)), "query.ranges"),
    ],
)
def test_what_none_can_be_built_of(order: DatasetOrder, words: str) -> None:
    old = replace(trained("old"), artifact=replace(trained("old").artifact, signature=None))
    state = state_after(
        *HISTORY,
        old,
        dataset_built("first", "monday"),
        dataset_built("second", "of-a-file", query=None, source="rows.parquet"),
        RequestRetentionSet(retention=RequestRetention(seconds=3_600)),
    )
    with pytest.raises(DatasetError, match=words):
        query_of(order, state, PLACES)


def test_more_records_than_are_read_are_told() -> None:
    many: dict[str, Any] = {"requests": {0: Held(0, RECORDS_MAX + 1)}, "feedback": {}}
    with pytest.raises(DatasetError, match="ask for fewer by offsets or by time"):
        query_of(DatasetOrder(), state_after(*HISTORY), Places(**many))


def test_a_model_without_a_version_says_so() -> None:
    with pytest.raises(DatasetError, match="no version yet"):
        query_of(DatasetOrder(), state_after(), PLACES)
