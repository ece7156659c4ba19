"""Webhooks set, listed and removed over HTTP, without a restart of anything."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.problems import assert_problem
from tests.support.stages.http import HttpStage, NewLog, open_http_stage

PAGER = {"url": "https://pager.example/in", "reason": "on call"}


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


async def test_a_webhook_is_a_fact_with_who_and_why(stage: HttpStage) -> None:
    headers = {"X-Actor": "ada"}
    answer = await stage.client.put("/api/webhooks/pager", json=PAGER, headers=headers)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["actor"], answer.json()["reason"]) == ("ada", "on call")
    assert answer.json()["events"][0] == "hotswap.alert.raised.*"
    again = await stage.client.put("/api/webhooks/pager", json=PAGER, headers=headers)
    assert again.json() == answer.json()
    assert len(stage.registry.fold.log.webhooks) == 1
    assert (await stage.get("/api/webhooks")).json()["webhooks"] == [answer.json()]

    wrong = await stage.client.put("/api/webhooks/pager", json={"url": "https://pager.example/in?token=hush"})
    assert "query" in assert_problem(wrong, 422, "invalid-value")["detail"]
    assert "hush" not in wrong.text

    removed = await stage.client.post("/api/webhooks/pager/remove", json={"reason": "holiday"}, headers=headers)
    assert removed.json() == {"webhooks": []}
    gone = await stage.client.post("/api/webhooks/pager/remove", json={}, headers=headers)
    assert_problem(gone, 404, "unknown-webhook")
