"""`/api/live`: what there is, then all that changes; resumed, filtered by the key, made once for all, and bounded."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hotswap_events.commands import ClaimTraining
from hotswap_events.rollouts.evidence import RolloutEvidence
from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.key_log import MemoryKeyLog
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.api.live import hub as live_hub
from hotswap_stream.api.live.messages import LiveMessages
from hotswap_stream.api.live.ring import Ring, Sent
from hotswap_stream.application.keys.access import ANYBODY, Caller
from hotswap_stream.application.keys.changes import KeyOrder
from hotswap_stream.application.keys.office import LogOffice
from hotswap_stream.application.monitoring.answered import Answered
from hotswap_stream.application.monitoring.figures import AnswerFigures
from hotswap_stream.application.monitoring.traffic import RecentSums, Traffic
from hotswap_stream.application.rollouts.shown import EvidenceFold, Heard, RolloutShown
from hotswap_stream.application.trainers.port import Heard as HeardProgress
from hotswap_stream.application.trainers.progress import ProgressFold
from hotswap_stream.application.trainers.run_files import kept_files
from tests.support.stages.http import CANARY, MODEL, HttpStage, NewLog, open_http_stage, passed
from tools.observation_examples import observation_examples

DEADLINE_SECONDS = 60.0
[EXAMPLE] = [each for each in observation_examples()["hotswap.evidence"] if isinstance(each, RolloutEvidence)]


class Message(msgspec.Struct, frozen=True):
    """One server-sent event."""

    event: str = "message"
    data: str = "{}"
    id: str = ""
    retry: str = ""

    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.data)
        return decoded


async def messages_of(answer: httpx.Response) -> AsyncGenerator[Message, None]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        message = Message(**fields)
        if "event" in fields:
            # As the document says, and nothing else.
            msgspec.convert({message.event: message.json()}, LiveMessages, strict=False)
        yield message
        fields = {}


@asynccontextmanager
async def live(stage: HttpStage, **request: Any) -> AsyncIterator[AsyncGenerator[Message, None]]:
    async with stage.client.stream("GET", "/api/live", **request) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        async with aclosing(messages_of(answer)) as messages:
            yield messages


async def until(messages: AsyncGenerator[Message, None], event: str, **fields: Any) -> Message:
    """The next message of this event whose data has these fields."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        async for message in messages:
            data = message.json()
            if message.event == event and all(data[name] == value for name, value in fields.items()):
                return message
    raise AssertionError(f"the stream ended without {event}")


class HeldEvidence:
    """An EvidenceView that is told by hand, on the real fold."""

    def __init__(self) -> None:
        self.known = True
        self._fold = EvidenceFold()
        self._heard: list[Heard] = []

    def latest(self, model_name: str, rollout_id: str) -> tuple[RolloutEvidence, ...]:
        return self._fold.latest(model_name, rollout_id)

    def shown(self, model_name: str, rollout_id: str) -> RolloutShown:
        return self._fold.shown(model_name, rollout_id)

    def listen(self, heard: Heard) -> Callable[[], None]:
        self._heard.append(heard)
        return lambda: self._heard.remove(heard)

    def tell(self, **fields: Any) -> None:
        record = msgspec.structs.replace(EXAMPLE, **{"model_name": MODEL, "rollout_id": "r1", **fields})
        self._fold.take(record)
        for heard in self._heard:
            heard(record)


class HeldTraffic:
    """A TrafficView that is told by hand, on the real sums."""

    def __init__(self) -> None:
        self.known = True
        self.traffic = Traffic()
        self._sequence = 0

    @property
    def answered(self) -> Answered:
        return self.traffic.answered

    def recent(self, model_name: str) -> dict[str, RecentSums]:
        return self.traffic.recent(model_name, 1_000.0)

    def tell(self, answers: int, model_version: str = "v1") -> None:
        self._sequence += 1
        found = AnswerFigures(
            worker_run="w",
            sequence=self._sequence,
            model_name=MODEL,
            role="primary",
            model_version=model_version,
            answers=answers,
        )
        self.traffic.add(found, 999.0)


@pytest.fixture
def evidence() -> HeldEvidence:
    return HeldEvidence()


@pytest.fixture
def traffic() -> HeldTraffic:
    return HeldTraffic()


@pytest.fixture
async def stage(
    new_log: NewLog, tmp_path: Path, evidence: HeldEvidence, traffic: HeldTraffic, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[HttpStage]:
    monkeypatch.setattr(live_hub, "OBSERVED_SECONDS", 0.1)
    monkeypatch.setattr(live_hub, "HEARTBEAT_SECONDS", 0.3)
    async with open_http_stage(new_log(), tmp_path, evidence=evidence, traffic=traffic) as stage:
        yield stage


async def test_first_what_there_is_and_then_all_that_changes(
    stage: HttpStage, evidence: HeldEvidence, traffic: HeldTraffic
) -> None:
    await stage.promoted()
    candidate = await passed(stage)
    await stage.accepted("rollout", {"strategy": CANARY, "candidates": [candidate]})
    evidence.tell(count=1)
    async with live(stage) as messages:
        retry, first, observed = [await anext(messages) for _ in range(3)]
        assert retry.retry == "1000"
        assert (first.event, observed.event) == ("beginning", "observed")
        beginning = first.json()
        offset = beginning["offset"]
        assert first.id == str(offset - 1)
        assert beginning["status"]["registry_next_offset"] == offset
        assert beginning["models"] == (await stage.get("/api/models")).json()["models"]
        assert beginning["overview"] == (await stage.get("/api/overview")).json()
        [shown] = beginning["evidence"]
        assert (shown["model_version"], shown["count"]) == ("v2", 1)
        assert observed.json()["health"] == [(await stage.get(f"/api/models/{MODEL}/health")).json()]

        await stage.accepted("rollout/pause")
        state = (await until(messages, "state")).json()
        assert state["rollout"] == (await stage.get(f"/api/models/{MODEL}/rollout")).json()
        assert state["model"] == (await stage.get(f"/api/models/{MODEL}")).json()
        event = await until(messages, "event")
        assert (event.id, event.json()["event"]["type"]) == (str(offset), "hotswap.rollout.paused.v1")
        assert state["offset"] == offset
        moved = await until(messages, "observed")
        assert moved.json()["lines"][0]["condition"] == "needs-you"

        evidence.tell(count=2)
        evidence.tell(count=3, rollout_id="r9")
        evidence.tell(count=4)
        assert (await until(messages, "evidence")).json()["count"] == 2
        assert (await until(messages, "evidence")).json()["count"] == 4, "of a rollout that the log does not know: none"
        traffic.tell(600)
        seen = (await until(messages, "observed")).json()
        assert seen["health"] == [(await stage.get(f"/api/models/{MODEL}/health")).json()]
        assert seen["requests_per_second"] == 10.0
        beat = (await until(messages, "heartbeat")).json()
        assert (beat["offset"], beat["behind_by"]) == (offset + 1, 0)
        by_name = (await stage.get(f"/api/models/{MODEL}/rollout/evidence")).json()
    [newest] = by_name["latest"]
    assert (newest["count"], [point["count"] for point in by_name["history"][0]["points"]]) == (4, [1, 2, 4])
    assert (await stage.get(f"/api/models/{MODEL}/rollout/evidence", rollout_id="r9")).status_code == 404
    evidence.known = False
    unknown = await stage.get(f"/api/models/{MODEL}/rollout/evidence")
    assert (unknown.status_code, unknown.json()["code"]) == (503, "evidence-unknown")


class HeldProgress:
    """Progress of training runs, as a follower of the topic holds it, without a broker."""

    known = True

    def __init__(self) -> None:
        self.fold = ProgressFold()
        self._listeners: list[HeardProgress] = []

    def listen(self, heard: HeardProgress) -> Callable[[], None]:
        self._listeners.append(heard)
        return lambda: self._listeners.remove(heard)

    def tell(self, **changes: Any) -> None:
        fields = {"run_id": "run-1", "model_name": MODEL, "trainer": "als", "runner": "one/1", "phase": "training"}
        told = TrainingProgressed(**{**fields, **changes}, at=datetime.now(UTC))
        self.fold.apply(told.run_id.encode(), msgspec.json.encode(told))
        for heard in self._listeners:
            heard(told)


async def test_how_far_training_runs_are(new_log: NewLog, tmp_path: Path) -> None:
    progress = HeldProgress()
    async with open_http_stage(new_log(), tmp_path, training_progress=progress) as stage:
        asked = await stage.client.post(
            f"/api/models/{MODEL}/training-requests", json={"trainer": "als", "run_id": "run-1"}
        )
        assert asked.status_code == 200, asked.text
        claim = ClaimTraining(command_id="c", actor="a", model_name=MODEL, run_id="run-1", runner="one/1")
        assert (await stage.registry.handle(claim)).status == "accepted"
        path = f"/api/models/{MODEL}/training-runs/run-1/progress"
        assert (await stage.client.get(path)).status_code == 404
        progress.tell(step=1)
        assert (await stage.client.get(path)).json()["step"] == 1
        async with live(stage) as messages:
            [told] = (await until(messages, "beginning")).json()["training"]
            assert told["step"] == 1
            progress.tell(step=2, runner="another/1")
            progress.tell(step=3, run_id="run-9")
            progress.tell(step=4)
            heard = (await until(messages, "training")).json()
            assert heard["step"] == 4, "of runs that the log does not know, or of another runner: nothing"
        runs = f"/api/models/{MODEL}/training-runs/run-1"
        assert (await stage.client.get(f"{runs}/files")).json()["files"] == []
        left = tmp_path / "left"
        left.mkdir()
        (left / "plot.html").write_bytes(b"<script>")
        kept, _ = await kept_files(stage.artifacts, left, "", run_id="run-1", model_name=MODEL, without=())
        progress.tell(phase="ended", kept=kept)
        [file] = (await stage.client.get(f"{runs}/files")).json()["files"]
        assert (file["name"], file["size_bytes"]) == ("plot.html", 8)
        answer = await stage.client.get(f"{runs}/files/plot.html")
        assert (answer.status_code, answer.content) == (200, b"<script>")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"] == 'attachment; filename="plot.html"'
        await stage.client.post(f"/api/models/{MODEL}/training-requests", json={"trainer": "als", "run_id": "run-2"})
        both = await stage.client.get(f"/api/models/{MODEL}/training-comparison?runs=run-1,run-2")
        assert [run["run_id"] for run in both.json()["runs"]] == ["run-1", "run-2"]
        drawn = [f"{runs}/curves.svg", f"/api/models/{MODEL}/training-comparison.svg?runs=run-1,run-2"]
        for path in drawn:
            picture = await stage.client.get(path)
            assert picture.headers["content-type"].startswith("image/svg+xml"), picture.text
        for wrong, status in (("run-1", 422), ("run-1,run-9", 404), ("", 422)):
            answer = await stage.client.get(f"/api/models/{MODEL}/training-comparison?runs={wrong}")
            assert answer.status_code == status, answer.text
        for name in ("other", "plot.html%0A", "..%2Fplot.html"):
            assert (await stage.client.get(f"{runs}/files/{name}")).status_code == 404


async def test_who_comes_back_gets_what_was_missed_once_and_in_order(stage: HttpStage) -> None:
    for _ in range(3):
        await stage.registered()
    async with live(stage, headers={"Last-Event-ID": "0"}) as messages, live(stage) as other:
        await until(other, "beginning")
        beginning = await until(messages, "beginning")
        assert beginning.id == "", "a browser that is cut off here comes back with the id that it had"
        await stage.accepted("versions/v1/archive")
        assert [(await until(messages, "event")).id for _ in range(3)] == ["1", "2", "3"]
        assert (await until(other, "event")).id == "3"
    async with live(stage, params={"from_offset": 10**9}) as messages:
        assert (await until(messages, "beginning")).json()["offset"] == 4
    wrong = await stage.client.get("/api/live", headers={"Last-Event-ID": "latest"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid-value")


async def test_a_key_for_some_models_hears_of_those_alone(
    tmp_path: Path, evidence: HeldEvidence, traffic: HeldTraffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_hub, "OBSERVED_SECONDS", 0.1)
    monkeypatch.setattr(live_hub, "HEARTBEAT_SECONDS", 0.3)
    keys = MemoryKeyLog()
    office = LogOffice(keys, "test", lambda: datetime.now(UTC))
    mine = await office.create(KeyOrder(name="mine", scopes=("read",), models=("dig*",)))
    others = await office.create(KeyOrder(name="others", scopes=("read",), models=("fraud",)))
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    services = {"evidence": evidence, "traffic": traffic, "keys": keys, "open_to": "loopback"}
    async with open_http_stage(log, tmp_path, **services) as stage:
        await stage.promoted()
        headers = [{"X-API-Key": str(key.token)} for key in (mine, others)]
        async with live(stage, headers=headers[0]) as heard, live(stage, headers=headers[1]) as unheard:
            assert [model["model_name"] for model in (await until(heard, "beginning")).json()["models"]] == [MODEL]
            assert (await until(unheard, "beginning")).json()["models"] == []
            await until(heard, "observed")
            await until(unheard, "observed", lines=[])
            traffic.tell(60)
            evidence.tell(count=5)
            await stage.registered()
            assert (await until(heard, "state")).json()["model"]["model_name"] == MODEL
            assert (await until(heard, "event")).json()["event"]["subject"] == MODEL
            found: list[Message] = []
            async with asyncio.timeout(DEADLINE_SECONDS):
                while sum(message.event == "heartbeat" for message in found) < 2:
                    found.append(await anext(unheard))
            assert {message.event for message in found} <= {"heartbeat", "observed"}
            for message in found:
                assert message.event == "heartbeat" or message.json()["lines"] == []
            overview = await stage.client.get("/api/overview", headers=headers[1])
            assert (overview.status_code, overview.json()["models"]) == (200, [])
            await office.revoke("others", None)
            assert "no longer valid" in (await until(unheard, "end")).json()["reason"]


async def test_it_ends_with_a_word_and_costs_nothing_when_nobody_listens(new_log: NewLog, tmp_path: Path) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        async with open_http_stage(new_log(), tmp_path, event_stream_clients_max=1) as stage:
            request = client.build_request("GET", f"{stage.url}/api/live")
            answer = await client.send(request, stream=True)
            full = await stage.get("/api/live")
            assert (full.status_code, full.json()["code"]) == (503, "too-many-clients")
        async with asyncio.timeout(DEADLINE_SECONDS):
            last = [message async for message in messages_of(answer)][-1]
        await answer.aclose()
    assert (last.event, last.json()["reason"]) == ("end", "the server is stopping")
    assert [task.get_name() for task in asyncio.all_tasks() if "live" in task.get_name()] == []


def test_the_ring_holds_one_copy_for_all_and_lets_the_slow_ones_go() -> None:
    ring, limited = Ring(messages_max=4, bytes_max=1_000), Caller(name="k", scopes=frozenset(), models=("dig*",))
    made: list[tuple[str, ...]] = []

    def parts(caller: Caller) -> bytes:
        made.append(caller.models)
        return b"some"

    ring.add([Sent(b"a", "digits"), Sent(b"b", "fraud"), Sent(b"all", parts=parts), Sent(b"n", unlimited_only=True)])
    assert ring.since(0, ANYBODY, 10_000) == (b"aballn", 4)
    assert [ring.since(0, limited, 10_000) for _ in range(2)] == [(b"asome", 4)] * 2
    assert made == [("dig*",)], "made once for all keys of these models"
    assert ring.since(0, ANYBODY, 1) == (b"a", 1)
    ring.add([Sent(b"c")])
    assert (ring.first, ring.next) == (1, 5)
    ring.add([Sent(b"x" * 2_000), Sent(b"d")])
    assert (ring.first, ring.next) == (6, 7), "what is larger than all that may be held goes"
    ring.drop()
    assert ring.first > 7
    assert ring.since(ring.next, ANYBODY, 10) == (b"", ring.next)
