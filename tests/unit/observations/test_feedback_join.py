"""Feedback joined to answers: what counts for a version, and what is counted beside it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hotswap_events.inference.observation import Feedback
from hotswap_stream.application.observations.feedback import (
    AnswerExpiredError,
    FeedbackJoiner,
    FeedbackUnavailableError,
    FoundAnswer,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Answers:
    """A lookup in a dictionary; `by_place` and `by_id` are what Kafka's does, held to it in the integration tests."""

    def __init__(self, *answers: FoundAnswer) -> None:
        self.down = False
        self._answers = answers

    async def by_place(self, model_name: str, request_partition: int, request_offset: int) -> FoundAnswer | None:
        assert model_name == "m"
        if self.down:
            raise FeedbackUnavailableError("down")
        if request_offset < 10:
            raise AnswerExpiredError("gone")
        place = (request_partition, request_offset)
        return next((each for each in self._answers if (each.request_partition, each.request_offset) == place), None)

    async def by_id(self, model_name: str, request_id: str) -> FoundAnswer | None:
        assert model_name == "m"
        return next((each for each in self._answers if each.request_id == request_id), None)


def answer(offset: int = 10, **fields: Any) -> FoundAnswer:
    defaults: dict[str, Any] = {"answered_at_ms": int(NOW.timestamp() * 1000), "model_version": "v1", "ok": True}
    return FoundAnswer(request_partition=0, request_offset=offset, **{**defaults, **fields})


def feedback(number: int = 1, **fields: Any) -> Feedback:
    defaults: dict[str, Any] = {"request_partition": 0, "request_offset": 10, "at": NOW, "label": 1}
    return Feedback(model_name="m", feedback_id=f"f-{number}", **{**defaults, **fields})


async def test_a_label_is_right_or_wrong_and_a_reward_neither() -> None:
    joiner = FeedbackJoiner(Answers(answer(10, label=1), answer(11, label=2), answer(12, label=3)))
    right = await joiner.join(feedback(1))
    wrong = await joiner.join(feedback(2, request_offset=11))
    reward = await joiner.join(feedback(3, request_offset=12, label=None, reward=0.5))
    assert [each.status for each in (right, wrong, reward)] == ["joined"] * 3
    assert [each.correct for each in (right, wrong, reward)] == [True, False, None]
    assert right.model_version == "v1"
    assert joiner.counts == {"joined": 3}


async def test_feedback_about_one_answer_counts_once_however_it_is_named() -> None:
    answers = Answers(answer(request_id="r"))
    joiner = FeedbackJoiner(answers)
    by_id = {"request_partition": None, "request_offset": None, "request_id": "r"}
    every = [feedback(1), feedback(1), feedback(2), feedback(3, **by_id)]
    assert [(await joiner.join(each)).status for each in every] == ["joined", "double", "double", "double"]
    after_restart = FeedbackJoiner(answers, remembered=joiner.keys)
    assert [(await after_restart.join(each)).status for each in (feedback(1), feedback(4))] == ["double", "double"]


async def test_what_does_not_count_is_told_apart() -> None:
    joiner = FeedbackJoiner(
        Answers(answer(10), answer(11, ok=False), answer(12, model_version=None, ok=False)), late_seconds=60.0
    )
    every = [
        feedback(1, at=NOW + timedelta(seconds=61)),
        feedback(2, request_offset=9),
        feedback(3, request_offset=99),
        feedback(4, request_offset=11),
        feedback(5, request_offset=12),
    ]
    assert [(await joiner.join(each)).status for each in every] == ["late", "late", "unknown", "failed", "failed"]
    assert joiner.counts == {"late": 2, "unknown": 1, "failed": 2}


async def test_a_sender_that_saw_another_version_is_noticed() -> None:
    joiner = FeedbackJoiner(Answers(answer()))
    joined = await joiner.join(feedback(model_version="v2"))
    assert (joined.status, joined.model_version, joined.version_mismatch) == ("joined", "v1", True)


async def test_what_could_not_be_looked_up_can_be_tried_again() -> None:
    answers = Answers(answer())
    answers.down = True
    joiner = FeedbackJoiner(answers)
    with pytest.raises(FeedbackUnavailableError):
        await joiner.join(feedback())
    answers.down = False
    assert (await joiner.join(feedback())).status == "joined"


async def test_what_is_remembered_is_bounded() -> None:
    joiner = FeedbackJoiner(Answers(*(answer(offset) for offset in range(10, 100))), remembered_max=20)
    for offset in range(10, 100):
        assert (await joiner.join(feedback(offset, request_offset=offset))).status == "joined"
    assert len(joiner.keys) == 20
    assert (await joiner.join(feedback(1_000, request_offset=99))).status == "double"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"request_offset": None}, "come together"),
        ({"request_partition": None, "request_offset": None}, "or request_id"),
        ({"label": None}, "label"),
    ],
)
def test_feedback_about_nothing_or_saying_nothing_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        feedback(**fields)
