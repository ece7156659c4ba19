"""Feedback over HTTP: what nobody could count is refused before it is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hotswap_events.inference.observation import Feedback
from tests.support.stages.http import NewLog, open_http_stage


class KeptFeedback:
    """A FeedbackLog that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[Feedback] = []

    async def append(self, records: Sequence[Feedback]) -> None:
        self.records += records


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"reward": 1e200}, "reward"),
        ({"reward": -1e31}, "reward"),
        ({"label": 2**31}, "label"),
        ({"label": 1, "request_offset": 2**63, "request_partition": 0}, "request_offset"),
        ({"label": 1, "request_offset": 1, "request_partition": 2**31}, "request_partition"),
        ({"label": 1, "at": "9999-12-31T23:59:59-23:59"}, "1970"),
        ({"label": 1, "model_version": "v" * 300}, "model_version"),
        ({"label": 1, "feedback_id": "f" * 300}, "feedback_id"),
    ],
)
async def test_feedback_that_is_out_of_bounds_is_refused(
    new_log: NewLog, tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    """A reward of 1e200 was accepted, and ended the agents that read it."""
    feedback = KeptFeedback()
    async with open_http_stage(new_log(), tmp_path, feedback=feedback) as stage:
        await stage.promoted()
        body = {"feedback": [{"request_id": "r-1", "label": 1}, {"request_id": "r-2", **fields}]}
        answer = await stage.command("feedback", body)
        assert answer.status_code in (400, 422), answer.text
        assert says in answer.text
        assert feedback.records == []
        answer = await stage.command("feedback", {"feedback": [{"request_id": "r-1", "label": 1, "reward": 1e30}]})
        assert (answer.status_code, len(feedback.records)) == (202, 1), answer.text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"value": 1e31}, "value"),
        ({"value": []}, "value"),
        ({"value": [1.0] * 1_025}, "value"),
        ({"value": [1.0, None]}, "value"),
        ({"value": "nan"}, "value"),
        ({"items": [1.5]}, "items"),
        ({"items": [2**63]}, "items"),
        ({"items": ["x" * 257]}, "items"),
        ({"items": [1] * 101}, "items"),
        ({"items": []}, "give label"),
    ],
)
async def test_true_numbers_and_chosen_items_are_taken_or_refused(
    new_log: NewLog, tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    feedback = KeptFeedback()
    async with open_http_stage(new_log(), tmp_path, feedback=feedback) as stage:
        await stage.promoted()
        answer = await stage.command("feedback", {"feedback": [{"request_id": "r-2", **fields}]})
        assert answer.status_code in (400, 422), answer.text
        assert says in answer.text
        right = [{"request_id": "r-1", "value": 12.5}, {"request_id": "r-2", "value": [1, 2]}]
        right.append({"request_id": "r-3", "items": [7, "sku-4"]})
        answer = await stage.command("feedback", {"feedback": right})
        assert answer.status_code == 202, answer.text
        assert [(record.value, record.items) for record in feedback.records] == [
            (12.5, ()),
            ((1.0, 2.0), ()),
            (None, (7, "sku-4")),
        ]
