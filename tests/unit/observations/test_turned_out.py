"""How far an answer was from what turned out: errors of numbers, places of items, whatever both hold."""

import math

import numpy
import pytest
from sklearn.metrics import ndcg_score

from hotswap_events.inference.messages import InferTensor
from hotswap_events.inference.observation import Item
from hotswap_stream.adapters.kafka.observations.first_output import first_values, label_in, numbers_in, ranking_in
from hotswap_stream.application.observations.turned_out import (
    RANKED_MAX,
    ItemPlaces,
    NumberErrors,
    Ranking,
    errors_of,
    places_of,
)


def output(data: list[object] | bytes, *shape: int, datatype: str = "FP32") -> InferTensor:
    return InferTensor(name="y", shape=list(shape), datatype=datatype, data=data)  # type: ignore[arg-type]


def ranked(tensor: InferTensor) -> Ranking | None:
    return ranking_in(tensor, first_values(tensor))


def places(tensor: InferTensor, *items: Item) -> ItemPlaces | None:
    found = ranked(tensor)
    return None if found is None else places_of(found, items)


def test_errors_are_means_over_the_numbers_of_an_answer() -> None:
    assert errors_of((3.0,), 5.0) == NumberErrors(absolute=2.0, squared=4.0, percentage=0.4)
    assert errors_of((3.0, 1.0), (5.0, 0.0)) == NumberErrors(absolute=1.5, squared=2.5, percentage=0.4)
    assert errors_of((3.0,), 0.0) == NumberErrors(absolute=3.0, squared=9.0, percentage=None)


@pytest.mark.parametrize(("numbers", "true"), [((), 1.0), ((1.0, 2.0), 1.0), ((1.0,), (1.0, 2.0))])
def test_another_count_of_numbers_cannot_be_compared(
    numbers: tuple[float, ...], true: float | tuple[float, ...]
) -> None:
    assert errors_of(numbers, true) is None


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e308])
def test_an_answer_that_is_no_number_is_as_wrong_as_can_be(number: float) -> None:
    found = errors_of((number, 1.0), (1.0, 1.0))
    assert found is not None
    assert found.absolute == 0.5e30
    assert math.isfinite(found.squared)


def test_items_are_at_their_places_by_score() -> None:
    scores = output([0.1, 0.7, 0.2, 0.7], 1, 4)
    assert ranked(scores) == Ranking({1: 1, 3: 1, 2: 2, 0: 3}, "scores", 4)
    found = places(scores, 2, 0)
    assert found == ItemPlaces((2, 3), 2)
    assert [found.hit(first) for first in (2, 3)] == [False, True]
    assert found.reciprocal_rank == pytest.approx(1 / 3)
    assert places(scores, 4) is None, "there is no such score"
    assert places(scores, "a") is None, "scores have no names"


def test_a_model_that_scores_all_alike_finds_nothing() -> None:
    flat = output([0.5] * (RANKED_MAX + 50), 1, RANKED_MAX + 50)
    found = places(flat, 0)
    assert found == ItemPlaces((), 1)
    assert (found.hit(100), found.reciprocal_rank, found.ndcg(10)) == (False, 0.0, 0.0)


def test_scores_that_are_none_rank_nothing() -> None:
    assert ranked(output([None, 0.5, 0.1], 1, 3)) == Ranking({1: 0, 2: 1}, "scores", 3)


def test_lists_of_items_are_in_order_already() -> None:
    ids = output([7, -3, 7, 9], 1, 4, datatype="INT64")
    assert places(ids, 9, 7, 12) == ItemPlaces((0, 3), 3)
    assert places(ids, "seven") is None
    names = output(["b", b"\xff", "a", "7"], 1, 4, datatype="BYTES")
    assert places(names, "a", "zzz") == ItemPlaces((2,), 2)
    assert places(names, 7) == ItemPlaces((3,), 1), "a text that is a number"


def test_the_discounted_gain_is_that_of_scikit_learn() -> None:
    random = numpy.random.default_rng(3)
    for _answer in range(50):
        scores = random.permutation(20).astype(float)
        chosen = random.choice(20, size=int(random.integers(1, 6)), replace=False)
        relevance = numpy.zeros((1, 20))
        relevance[0, chosen] = 1.0
        found = places(output(scores.tolist(), 1, 20), *map(int, chosen))
        assert found is not None
        for first in (1, 5, 10):
            assert found.ndcg(first) == pytest.approx(ndcg_score(relevance, [scores], k=first))


@pytest.mark.parametrize(
    "tensor",
    [
        output(["a", "b"], 1, 2),
        output([True, False], 1, 2, datatype="BOOL"),
        output([1.0], 1, 2),
        output(b"\0\0\0", 1, 1),
        output([[1.0], 2.0], 1, 2),
        output([0.0] * 2_000, 2, 1_000),
        output([], 0, 5),
    ],
)
def test_what_holds_nothing_says_nothing(tensor: InferTensor) -> None:
    values = first_values(tensor)
    found = ranking_in(tensor, values)
    assert (label_in(tensor, values), numbers_in(tensor, values)) == (None, ())
    assert found is None or not found.places


def test_numbers_of_any_shape_are_read() -> None:
    for tensor, numbers in (
        (output([2.5], 1), (2.5,)),
        (output([[1, 2], [3, 4]], 2, 2, datatype="INT64"), (1.0, 2.0, 3.0, 4.0)),
        (output([10**400], 1), (math.inf,)),
    ):
        assert numbers_in(tensor, first_values(tensor)) == numbers
    assert first_values(output([2.5], 1), contents=False) == []
    assert first_values(output([0.5, 0.1], 1, 2), contents=False) == [0.5, 0.1], "for the label"
