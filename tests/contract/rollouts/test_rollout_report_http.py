"""How the arms of a rollout do, over HTTP; what was recorded of them is kept in memory here."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hotswap_stream.api.recorded_reports import REPORTS_AT_ONCE_MAX
from hotswap_stream.application.observations.history import Recorded, TooManyRecordsError
from hotswap_stream.errors import LogUnavailableError
from tests.support.problems import assert_problem
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.recorded import EvenAnswers, KeptHistory, labels
from tests.support.stages.http import CANARY, MODEL, HttpStage, NewLog, open_http_stage, passed

RATES = {"v1": 0.99, "v2": 0.8}
WEIGHTS = {"v1": 9_500, "v2": 500}


class Reported:
    """v2 gets 5 % in rollout r1, and fails a fifth of its requests; what it is asked is `history`'s."""

    def __init__(self, stage: HttpStage, history: KeptHistory) -> None:
        self.stage = stage
        self.history = history

    async def get(self, **query: Any) -> httpx.Response:
        return await self.stage.get(f"/api/models/{MODEL}/rollout/report", **query)

    async def report(self, **query: Any) -> dict[str, Any]:
        answer = await self.get(**query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


class HeldHistory:
    """A RecordedHistory of nothing, that takes until it may go on."""

    def __init__(self) -> None:
        # Of threads: it is read in another event loop.
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Event()

    async def read(self, _model_name: str, _since: datetime, _until: datetime | None) -> AsyncIterator[Recorded]:
        self.asked.release()
        await asyncio.to_thread(self.go_on.wait)
        for none in list[Recorded]():
            yield none


@pytest.fixture
async def reported(new_log: NewLog, tmp_path: Path) -> AsyncIterator[Reported]:
    history, answers = KeptHistory([]), EvenAnswers()
    async with open_http_stage(new_log(), tmp_path, recorded=history, answers=answers) as stage:
        await stage.promoted()
        candidate = await passed(stage)
        started = await stage.accepted("rollout", {"strategy": CANARY, "candidates": [candidate]})
        traffic = ObservedTraffic()
        traffic.now = msgspec.convert(started["rollout"]["started_at"], type(traffic.now))
        answers.set_answered_at(traffic.now + timedelta(seconds=1))
        for _second in range(100):
            history.records += [Recorded(each.until, each) for each in traffic.second(RATES, WEIGHTS)]
        yield Reported(stage, history)


async def test_counts_lift_with_its_interval_and_advice(reported: Reported) -> None:
    report = await reported.report()
    assert (report["rollout_id"], report["status"], report["strategy"]) == ("r1", "running", "canary at 5 %")
    assert report["records"] == 200
    baseline, candidate = report["arms"]
    assert (baseline["arm"], baseline["model_version"], baseline["weight"]) == ("baseline", "v1", 9_500)
    assert (candidate["arm"], candidate["model_version"], candidate["weight"]) == ("candidate", "v2", 500)
    assert (baseline["requests"], candidate["requests"]) == (38_000, 2_000)
    rate = candidate["success_rate"]
    assert rate["rate"] == rate["successes"] / rate["count"]
    assert rate["lower"] < 0.8 < rate["upper"]
    assert (candidate["accuracy"], candidate["reward"]) == (None, None)
    [lift] = report["lifts"]
    assert (lift["metric"], lift["model_version"], lift["decides"]) == ("success-rate", "v2", True)
    assert lift["lower"] < -0.19 < lift["upper"] < 0
    assert lift["lower"] < lift["difference"] < lift["upper"]
    assert lift["p_worse"] < 0.001
    assert (report["advice"], report["because"]) == ("roll back", "success-rate of v2 is shown to be worse")


async def test_labels_that_came_back_are_part_of_it(reported: Reported) -> None:
    told = labels(400, reported.history.records[-1].at)
    reported.history.records += [*told, *told[:30]]
    report = await reported.report(rollout_id="r1")
    assert report["feedback"] == {"joined": 400, "double": 30}
    assert [arm["accuracy"]["rate"] for arm in report["arms"]] == [1.0, 0.25]
    assert {lift["metric"]: lift["decides"] for lift in report["lifts"]} == {"success-rate": True, "accuracy": False}


async def test_of_the_last_rollout_when_none_goes_on_and_of_any_by_name(reported: Reported) -> None:
    await reported.stage.accepted("rollout/abort", {"archive": False})
    report = await reported.report()
    assert (report["rollout_id"], report["status"], report["advice"]) == ("r1", "aborted", "ended")
    assert report["because"].startswith("it was aborted by ")
    assert report["decision"]["at"] == report["ended_at"]
    assert report["ended_at"] is not None
    await reported.stage.accepted("rollout", {"strategy": {"kind": "shadow"}, "candidates": ["v2"]})
    new = await reported.report()
    assert (new["rollout_id"], new["lifts"], new["advice"]) == ("r2", [], "continue")
    assert (await reported.report(rollout_id="r1"))["arms"][1]["requests"] == 2_000


async def test_what_there_is_no_report_on(reported: Reported) -> None:
    other = assert_problem(await reported.get(rollout_id="r9"), 404, "unknown-rollout")
    assert other["legal"] == ["r1"]
    nobody = await reported.stage.get("/api/models/nobody/rollout/report")
    assert assert_problem(nobody, 404, "unknown-model")["legal"] == [MODEL]
    for error, retry in ((LogUnavailableError("Kafka is away"), True), (TooManyRecordsError("2,000,001"), False)):
        reported.history.error = error
        answer = await reported.get()
        assert str(error) in assert_problem(answer, 503, "observations-unknown")["detail"]
        assert ("Retry-After" in answer.headers) == retry


async def test_so_many_reports_are_made_at_once_and_no_more(new_log: NewLog, tmp_path: Path) -> None:
    history = HeldHistory()
    async with open_http_stage(new_log(), tmp_path, recorded=history) as stage:
        await stage.promoted()
        await stage.accepted("rollout", {"strategy": CANARY, "candidates": [await passed(stage)]})
        path = f"/api/models/{MODEL}/rollout/report"
        making = [asyncio.create_task(stage.get(path)) for _each in range(REPORTS_AT_ONCE_MAX)]
        for _each in making:
            await asyncio.to_thread(history.asked.acquire)
        for other in (path, f"/api/models/{MODEL}/drift"):
            refused = await stage.get(other)
            assert f"{REPORTS_AT_ONCE_MAX} reports" in assert_problem(refused, 503, "busy")["detail"]
            assert "Retry-After" in refused.headers
        history.go_on.set()
        assert {answer.status_code for answer in await asyncio.gather(*making)} == {200}
        assert (await stage.get(path)).status_code == 200


async def test_a_server_without_a_way_to_the_observations_says_so(new_log: NewLog, tmp_path: Path) -> None:
    async with open_http_stage(new_log(), tmp_path) as stage:
        await stage.promoted()
        path = f"/api/models/{MODEL}/rollout/report"
        assert_problem(await stage.get(path), 503, "observations-unknown")


async def test_before_the_first_rollout_there_is_no_report(new_log: NewLog, tmp_path: Path) -> None:
    async with open_http_stage(new_log(), tmp_path, recorded=KeptHistory([])) as stage:
        await stage.promoted()
        assert_problem(await stage.get(f"/api/models/{MODEL}/rollout/report"), 404, "unknown-rollout")
