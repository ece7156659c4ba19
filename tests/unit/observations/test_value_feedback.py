"""Feedback with true numbers and chosen items: what is taken, and what it is joined to."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hotswap_events.inference.observation import ITEMS_MAX, VALUES_MAX, Feedback
from hotswap_stream.application.observations.feedback import FeedbackJoiner, FoundAnswer
from hotswap_stream.application.observations.turned_out import ItemPlaces, NumberErrors, Ranking
from hotswap_stream.application.rollouts.analysis.entry import judged_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PLACE = {"request_partition": 0, "request_offset": 10}


class OneAnswer:
    """An answer that is found by place with all that it holds, by id without it."""

    def __init__(self, **holds: Any) -> None:
        self._facts: dict[str, Any] = {
            "request_partition": 0,
            "request_offset": 10,
            "answered_at_ms": round(NOW.timestamp() * 1000),
            "model_version": "v1",
            "ok": True,
        }
        self._holds = holds
        self.by_place_count = 0

    async def by_place(self, _model_name: str, request_partition: int, request_offset: int) -> FoundAnswer | None:
        self.by_place_count += 1
        assert (request_partition, request_offset) == (0, 10)
        return FoundAnswer(**self._facts, **self._holds)

    async def by_id(self, _model_name: str, request_id: str) -> FoundAnswer | None:
        return FoundAnswer(**self._facts, request_id=request_id, label=self._holds.get("label"))


def feedback(**fields: Any) -> Feedback:
    return Feedback(model_name="m", feedback_id="f", at=NOW, **{**PLACE, **fields})


NUMBERS = {"numbers": (3.0, 1.0)}
ORDER = {"ranking": Ranking({4: 0, 2: 1}, "scores", 5)}


async def test_numbers_and_items_are_held_against_the_answer() -> None:
    joined = await FeedbackJoiner(OneAnswer(**NUMBERS, **ORDER)).join(feedback(value=(5.0, 1.0), items=(2, 0)))
    assert (joined.status, joined.correct) == ("joined", None)
    assert joined.errors == NumberErrors(absolute=1.0, squared=2.0, percentage=0.2)
    assert joined.chosen == ItemPlaces((1,), 2)
    judged = judged_of(joined)
    assert judged is not None
    assert (judged.errors, judged.chosen) == (joined.errors, joined.chosen)


async def test_an_answer_found_by_id_is_read_for_what_it_holds_only_where_that_is_needed() -> None:
    by_id = {"request_partition": None, "request_offset": None, "request_id": "r"}
    answers = OneAnswer(numbers=(3.0,), label=1)
    joined = await FeedbackJoiner(answers).join(feedback(**by_id, value=4.0))
    assert joined.errors == NumberErrors(absolute=1.0, squared=1.0, percentage=0.25)
    assert answers.by_place_count == 1
    joined = await FeedbackJoiner(answers).join(feedback(**by_id, label=1))
    assert (joined.correct, answers.by_place_count) == (True, 1)


@pytest.mark.parametrize(
    ("holds", "fields"),
    [
        ({}, {"value": 1.0}),
        (NUMBERS, {"value": 1.0}),
        (NUMBERS, {"items": (1,)}),
        (ORDER, {"items": (5,)}),
        (ORDER, {"items": (1, "a")}),
        (ORDER, {"value": 1.0}),
    ],
)
async def test_what_the_answer_cannot_be_held_to_is_unfit(holds: dict[str, Any], fields: dict[str, Any]) -> None:
    joiner = FeedbackJoiner(OneAnswer(**holds))
    joined = await joiner.join(feedback(**fields))
    assert joined.status == "unfit"
    assert judged_of(joined) is None
    assert joiner.counts == {"unfit": 1}
    # What else it tells counts all the same.
    assert (await FeedbackJoiner(OneAnswer(**holds)).join(feedback(**fields, reward=1.0))).status == "joined"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (b'"value":1e31', "<= 1e"),
        (b'"value":1e400', "out of range"),
        (b'"value":[]', "length >= 1"),
        (b'"value":[1.0,null]', "null"),
        (b'"value":[[1.0]]', "array"),
        (b'"value":"1"', "str"),
        (b'"value":[' + b"1," * VALUES_MAX + b"1]", "length <="),
        (b'"items":[1.5]', "float"),
        (b'"items":[9223372036854775808]', "<="),
        (b'"items":[""]', "length >= 1"),
        (b'"items":["' + b"x" * 257 + b'"]', "length <= 256"),
        (b'"items":[' + b"1," * ITEMS_MAX + b"1]", "length <="),
        (b'"items":[]', "give label"),
        (b'"value":null', "give label"),
    ],
)
def test_what_is_no_value_is_refused_with_what_would_be_right(field: bytes, words: str) -> None:
    record = msgspec.json.encode(feedback(value=1.0)).replace(b'"value":1.0', field)
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.json.decode(record, type=Feedback)


@pytest.mark.parametrize("fields", [{"value": float("nan")}, {"value": (1.0, float("inf"))}, {"reward": float("nan")}])
def test_numbers_that_are_none_are_refused_even_beside_a_label(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="finite numbers"):
        feedback(label=1, **fields)
