"""The two queries that are answered before the framework: as the framework would answer them, whoever asks."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

OWN_HEADERS = ("x-request-id", "date")


def head_of(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in OWN_HEADERS}


def body_of(answer: httpx.Response) -> Any:
    body = answer.json()
    if "now" in body:
        del body["now"]
    return body


async def told_alike(stage: HttpStage, **headers: str) -> int:
    """Hold the answers against those of the framework, which has all that has a query; the status that both have."""
    statuses = set()
    for path, other in (("/api/models", "/api/models?limit=100"), ("/api/status", "/api/status?&")):
        ours = await stage.client.get(path, headers=headers)
        its = await stage.client.get(other, headers=headers)
        assert (ours.status_code, body_of(ours)) == (its.status_code, body_of(its))
        if path == "/api/models":  # a status is of another second, and may be shorter
            assert head_of(ours) == head_of(its)
        head = await stage.client.head(path, headers=headers)
        assert (head.status_code, head.content) == (ours.status_code, b"")
        statuses.add(ours.status_code)
    [status] = statuses
    return status


async def test_the_list_and_the_status_follow_the_log(new_log: NewLog, tmp_path: Path) -> None:
    async with (
        open_http_stage(new_log(), tmp_path / "one") as stage,
        open_http_stage(new_log(), tmp_path / "other") as other,
    ):
        assert (await stage.get("/api/models")).json() == {"models": [], "total": 0}
        version = await stage.promoted()
        for step in (None, "disable", "enable", "disable"):
            if step is not None:
                written = await stage.accepted(step)
                known = await other.get("/api/models", after=written["offset"])
                assert (await other.get("/api/models")).json() == known.json()
            [line] = (await stage.get("/api/models")).json()["models"]
            assert (line["model_name"], line["active_version"]) == (MODEL, version)
            assert line["disabled"] == (step == "disable")
            assert await told_alike(stage) == 200


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("wrong", 401), ("key-of-ops", 200)])
async def test_who_may_ask_is_the_same(new_log: NewLog, tmp_path: Path, key: str | None, status: int) -> None:
    """Every kind of key is tried by `test_key_matrix.py`; here it is the form of the answers."""
    async with open_http_stage(new_log(), tmp_path, api_keys={"ops": "key-of-ops"}) as stage:
        assert await told_alike(stage, **({} if key is None else {"X-API-Key": key})) == status
