"""What may be asked of a model, over HTTP: all that is named is accepted, and what is not named is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

PATH = f"/api/models/{MODEL}/steps"


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


async def test_steps_are_those_that_are_accepted(stage: HttpStage) -> None:
    for _ in range(2):
        await stage.accepted("versions", {"artifact_digest": await stage.stored_artifact()})
    before = (await stage.get(PATH)).json()
    assert list(before["versions"]) == ["v2", "v1"]
    assert "promote" not in before["versions"]["v1"], "it was not validated"
    assert (await stage.command("versions/v1/promote")).status_code == 409
    assert "switch" in before["versions"]["v1"]
    await stage.accepted("switch", {"model_version": "v1"})

    answered = await stage.get(PATH)
    steps = answered.json()
    assert answered.headers["ETag"] == f'"{steps["sequence"]}"'
    assert "roll back" not in steps["versions"]["v1"], "nothing was in production before"
    assert (await stage.command("rollback")).status_code == 409
    assert steps["model"] == ["reload", "disable"]
    await stage.accepted("disable", {"reason": "drill"})
    assert (await stage.get(PATH)).json()["model"] == ["reload", "enable"]

    then = (await stage.get(f"{PATH}?as_of_offset={steps['sequence'] - 1}")).json()
    assert then["sequence"] <= steps["sequence"]
    assert (await stage.get("/api/models/nobody/steps")).status_code == 404


async def test_entries_say_in_words_what_happened(stage: HttpStage) -> None:
    await stage.accepted("versions", {"artifact_digest": await stage.stored_artifact()})
    await stage.accepted("switch", {"model_version": "v1", "reason": "first of all"})
    (last,) = (await stage.get("/api/events?last=1")).json()["events"]
    assert "v1" in last["described"]
    assert "first of all" not in last["described"], "the reason has a column of its own"
    assert last["event"]["reason"] == "first of all"
