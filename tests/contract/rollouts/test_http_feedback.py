"""Feedback over HTTP: what nobody could count is refused before it is written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hotswap_events.observation import Feedback
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
