"""Profiles and drift over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.application.observations.history import Recorded, TooManyRecordsError
from hotswap_stream.errors import LogUnavailableError
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.profiles import INPUT, SCORE, sketch_of
from tests.support.stages.http import MODEL, HttpStage, NewLog, open_http_stage

PROFILE = {"source": "digits-train", "rows": 100, "sketches": {"input": INPUT, "score": SCORE}}
PATH = f"/api/models/{MODEL}/versions/v1/profile"
DRIFT = f"/api/models/{MODEL}/drift"


class History:
    """A RecordedHistory whose inputs have moved up by one half; it notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[datetime, datetime | None]] = []
        self.error: Exception | None = None

    async def read(self, model_name: str, since: datetime, until: datetime | None) -> AsyncIterator[Recorded]:
        assert model_name == MODEL
        self.asked.append((since, until))
        if self.error is not None:
            raise self.error
        sketches = {"input": sketch_of([0.5 + number / 100 for number in range(100)]), "score": SCORE}
        record = ObservedTraffic().record("v1", rows=100, sketches=sketches)
        yield Recorded(since, record)


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path, history: History) -> AsyncIterator[HttpStage]:
    """v1 in production."""
    async with open_http_stage(new_log(), tmp_path, recorded=history) as stage:
        await stage.promoted()
        yield stage


async def put_profile(stage: HttpStage, **changes: Any) -> Any:
    return await stage.client.put(PATH, json={**PROFILE, **changes})


async def test_a_profile_is_recorded_read_and_recorded_again(stage: HttpStage) -> None:
    assert (await stage.get(PATH)).json()["code"] == "no-profile"
    assert "profiled" not in (await stage.get(f"/api/models/{MODEL}/versions/v1")).json()
    answer = await put_profile(stage, reason="trained elsewhere")
    assert (answer.status_code, answer.json()["event_types"]) == (200, ["hotswap.model.profiled.v1"])
    assert (await put_profile(stage)).json()["status"] == "unchanged"
    assert (await stage.get(PATH)).json() == {"model_version": "v1", **PROFILE}
    version = (await stage.get(f"/api/models/{MODEL}/versions/v1")).json()
    assert (version["profiled"], version["profile_rows"], version["profile_source"]) == (True, 100, "digits-train")
    past = await stage.get(PATH, as_of_offset=answer.json()["offset"] - 1)
    assert past.status_code == 404


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sketches": {"input": "AAAA"}}, "'input' is not a KLL sketch of floats in base64"),
        ({"sketches": {"age": INPUT}}, "'age' is not known"),
        ({"sketches": {}}, "0 sketches"),
        ({"rows": 0}, "rows"),
        ({"source": ""}, "source"),
        ({"scores": 1}, "scores"),
    ],
)
async def test_what_is_no_profile(stage: HttpStage, changes: dict[str, Any], words: str) -> None:
    answer = await put_profile(stage, **changes)
    assert answer.status_code in (400, 422), answer.text
    assert words in answer.text


async def test_a_profile_of_a_version_that_is_not_there(stage: HttpStage) -> None:
    path = PATH.replace("v1", "v9")
    assert (await stage.client.put(path, json=PROFILE)).json()["legal"] == ["v1"]
    assert (await stage.get(path)).json()["code"] == "unknown-version"


async def test_a_shift_is_seen(stage: HttpStage, history: History) -> None:
    assert (await stage.get(DRIFT)).json()["verdict"] == "no-profile"
    await put_profile(stage)
    report = (await stage.get(DRIFT)).json()
    assert (report["verdict"], report["model_version"], report["rows"]) == ("shift", "v1", 100)
    by_name = {each["name"]: each for each in report["distributions"]}
    assert (by_name["input"]["verdict"], by_name["score"]["verdict"]) == ("shift", "none")
    assert by_name["input"]["distance"] == pytest.approx(0.5, abs=0.02)
    assert (await stage.get(DRIFT, tolerance=0.6, model_version="v1")).json()["verdict"] == "none"
    since, until = history.asked[-1]
    assert until is None
    assert timedelta(minutes=59) < SystemClock().now() - since < timedelta(minutes=61)


async def test_at_another_time(stage: HttpStage, history: History) -> None:
    await stage.get(DRIFT, until="2026-01-02T01:00:00+01:00")
    noon = datetime(2026, 1, 2, tzinfo=UTC)
    assert history.asked == [(noon - timedelta(hours=1), noon)]
    await stage.get(DRIFT, since="2026-01-01T00:00:00Z", until="2026-01-02T00:00:00Z")
    assert history.asked[-1] == (noon - timedelta(days=1), noon)
    assert "needs a time zone" in (await stage.get(DRIFT, since="2026-01-01T00:00:00")).text
    for wrong in (
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"since": "2999-01-01T00:00:00Z"},
        {"until": "0001-01-01T00:00:00Z"},
    ):
        answer = await stage.get(DRIFT, **wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-value"), answer.text


async def test_what_cannot_be_told(stage: HttpStage, history: History) -> None:
    assert (await stage.get("/api/models/nobody/drift")).status_code == 404
    assert (await stage.get(DRIFT, model_version="v9")).json()["code"] == "unknown-version"
    assert (await stage.get(DRIFT, tolerance=1)).status_code == 422
    history.error = TooManyRecordsError("more than 100000 observations: ask about a shorter time")
    answer = await stage.get(DRIFT)
    assert (answer.status_code, answer.json()["code"], "retry-after" in answer.headers) == (
        503,
        "observations-unknown",
        False,
    )
    history.error = LogUnavailableError("gone")
    assert (await stage.get(DRIFT)).headers["retry-after"]


async def test_a_server_without_a_way_to_the_observations(new_log: NewLog, tmp_path: Path) -> None:
    async with open_http_stage(new_log(), tmp_path) as stage:
        await stage.promoted()
        assert (await stage.get(DRIFT)).json()["code"] == "observations-unknown"
