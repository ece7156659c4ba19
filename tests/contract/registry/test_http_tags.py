"""Tags and aliases over HTTP: set, changed, removed, shown; on a log of either kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.problems import assert_problem
from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

HERE = f"/api/models/{MODEL}"


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


async def test_a_model_begins_with_its_tags_and_versions_have_their_own(stage: HttpStage) -> None:
    begun = await stage.client.patch(f"{HERE}/tags", json={"tags": {"team": "post"}, "reason": "asked for"})
    assert begun.json()["event_types"] == ["hotswap.model.tagged.v1"]
    again = await stage.client.patch(f"{HERE}/tags", json={"tags": {"team": "post"}})
    assert (again.status_code, again.json()["status"]) == (200, "unchanged")
    version = await stage.registered(tags={"a": "1"})
    changed = await stage.client.patch(f"{HERE}/versions/{version}/tags", json={"tags": {"b": "2"}, "removed": ["a"]})
    assert changed.json()["version"]["tags"] == {"b": "2"}
    assert (await stage.get(HERE)).json()["tags"] == {"team": "post"}
    assert_problem(await stage.client.patch(f"{HERE}/versions/v9/tags", json={}), 404, "unknown-version")
    assert_problem(await stage.client.patch(f"{HERE}/tags", json={"tag": {}}), 422, "invalid-request")
    assert_problem(await stage.client.patch("/api/models/a.b/tags", json={}), 422, "invalid-value")


async def test_an_alias_points_at_one_version(stage: HttpStage) -> None:
    one, other = await stage.registered(), await stage.registered()
    for version in (one, other):
        assert (await stage.client.put(f"{HERE}/aliases/blue", json={"model_version": version})).status_code == 200
    assert (await stage.get(HERE)).json()["aliases"] == {"blue": other}
    assert_problem(await stage.client.put(f"{HERE}/aliases/v3", json={"model_version": one}), 422, "invalid-value")
    assert_problem(await stage.client.put(f"{HERE}/aliases/blue", json={}), 422, "invalid-request")
    production = await stage.client.put(f"{HERE}/aliases/champion", json={"model_version": one})
    assert "promote a version" in assert_problem(production, 422, "invalid-value")["detail"]
    removed = await stage.client.put(f"{HERE}/aliases/blue", json={"model_version": None})
    assert removed.json()["status"] == "accepted"
    assert "aliases" not in (await stage.get(HERE)).json()
