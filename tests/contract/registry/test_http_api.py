"""The HTTP API, the same on a log in memory and on Kafka: queries, commands, refusals, the past, the event log."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest

from hotswap_events.commands import ArchiveVersion, StageVersion
from hotswap_stream.adapters.artifacts.store import path_of
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.registry.as_of import RegistryAsOf
from tests.support.problems import assert_problem
from tests.support.samples.artifacts import flip_bit
from tests.support.stages.http import MODEL, PASSED, HttpStage, NewLog, open_http_stage, started_registry


@pytest.fixture
async def stage(new_log: NewLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(new_log(), tmp_path) as stage:
        yield stage


async def test_a_version_goes_from_its_artifact_into_production(stage: HttpStage) -> None:
    digest = await stage.stored_artifact()
    registered = await stage.command(
        "versions",
        {
            "artifact_digest": digest,
            "code_revision": "207521e0",
            "data_snapshot": "9c1de442",
            "metrics": {"accuracy": 0.91},
            "tags": {"team": "vision"},
            "run_id": "run-7",
            "reason": "trained elsewhere",
        },
        headers={"X-Actor": "alice", "traceparent": f"00-{'a' * 32}-{'b' * 16}-01"},
    )
    assert registered.status_code == 200, registered.text
    assert registered.headers["etag"] == '"1"'
    answer = registered.json()
    assert answer["status"] == "accepted"
    assert answer["model_version"] == "v1"
    assert answer["event_types"] == ["hotswap.model.trained.v1"]
    assert answer["sequence"] == 1
    assert answer["offset"] == 0
    version = answer["version"]
    assert version["artifact"]["digest"] == digest
    assert version["artifact"]["size_bytes"] > 0
    assert version["provenance"] == {
        "origin": "imported",
        "created_by": "alice",
        "code_revision": "207521e0",
        "data_snapshot": "9c1de442",
    }

    await stage.accepted("versions/v1/stage")
    validated = await stage.accepted("versions/v1/validate", PASSED)
    assert validated["version"]["verdict"] == "passed"
    promoted = await stage.accepted("versions/v1/promote", {"reason": "good enough"})
    assert promoted["active_version"] == "v1"
    assert promoted["version"]["stage"] == "production"

    model = await stage.get(f"/api/models/{MODEL}")
    assert model.headers["etag"] == '"4"'
    assert model.json()["active_version"] == "v1"
    assert model.json()["active_offset"] == promoted["offset"]
    listed = (await stage.get("/api/models")).json()
    assert listed["total"] == 1
    assert listed["models"][0]["model_name"] == MODEL
    assert listed["models"][0]["versions_by_stage"] == {"production": 1}

    events = (await stage.get("/api/events")).json()["events"]
    first = events[0]["event"]
    assert first["actor"] == "alice"
    assert first["reason"] == "trained elsewhere"
    assert first["traceparent"] == f"00-{'a' * 32}-{'b' * 16}-01"
    assert [entry["event"]["actor"] for entry in events[1:]] == ["anonymous"] * 3


async def test_a_switch_answers_the_previous_version_and_the_metadata(stage: HttpStage) -> None:
    first = await stage.promoted()
    second = await stage.registered(code_revision="0207e52e")
    answer = await stage.accepted("switch", {"model_version": second})
    assert answer["previous_version"] == first
    assert answer["active_version"] == second
    assert answer["version"]["provenance"]["code_revision"] == "0207e52e"

    problem = assert_problem(await stage.command("switch", {"model_version": "v9"}), 404, "unknown-version")
    assert problem["legal"] == ["v2", "v1"]
    assert "v2, v1" in problem["detail"]

    back = await stage.accepted("rollback", {"cause": "emergency", "from_version": second})
    assert back["active_version"] == first
    assert back["previous_version"] == second
    conflict = await stage.command("rollback", {"from_version": second})
    assert_problem(conflict, 409, "conflict")
    illegal = assert_problem(await stage.command("rollback"), 409, "illegal-step")
    assert illegal["legal"] == ["switch to v2"]


async def test_reload_takes_the_newest_that_passed_and_nothing_when_it_is_active(stage: HttpStage) -> None:
    assert_problem(await stage.command("reload"), 404, "unknown-model")
    await stage.registered()
    assert "v1" in assert_problem(await stage.command("reload"), 409, "illegal-step")["detail"]
    await stage.accepted("versions/v1/validate", PASSED)
    assert (await stage.accepted("reload"))["active_version"] == "v1"

    again = await stage.command("reload", {})
    assert again.status_code == 200
    assert again.json()["status"] == "unchanged"

    await stage.registered()
    await stage.accepted(
        "versions/v2/validate", {**PASSED, "baseline_version": "v1", "baseline_figures": {"accuracy": 0.9}}
    )
    await stage.registered()
    assert (await stage.accepted("reload"))["active_version"] == "v2"
    assert (await stage.accepted("reload", {"model_version": "v1"}))["active_version"] == "v1"
    assert_problem(await stage.command("reload", {"model_version": "v3"}), 409, "illegal-step")


async def test_a_version_that_fails_validation_is_archived_in_the_same_decision(stage: HttpStage) -> None:
    await stage.promoted()
    await stage.registered()
    bad = {"figures": {"accuracy": 0.2}, "validation_set": "set-1"}
    assert_problem(await stage.command("versions/v2/validate", bad), 409, "conflict")
    answer = await stage.accepted(
        "versions/v2/validate", {**bad, "baseline_version": "v1", "baseline_figures": {"accuracy": 0.9}}
    )
    assert answer["event_types"] == ["hotswap.model.validated.v1", "hotswap.model.archived.v1"]
    assert answer["version"]["stage"] == "archived"
    problem = assert_problem(await stage.command("versions/v2/promote"), 409, "illegal-step")
    assert problem["legal"] == ["switch"]
    assert problem["command_id"]
    assert_problem(await stage.command("versions/v1/archive"), 409, "illegal-step")


async def test_the_same_idempotency_key_never_applies_twice(stage: HttpStage) -> None:
    body = {"artifact_digest": await stage.stored_artifact()}
    headers = {"Idempotency-Key": '"order-66"'}
    first = await stage.command("versions", body, headers=headers)
    again = await stage.command("versions", body, headers=headers)
    by_body = await stage.command("versions", {**body, "command_id": "order-66"})
    assert [answer.json()["status"] for answer in (first, again, by_body)] == ["accepted", "unchanged", "unchanged"]
    assert {answer.json()["command_id"] for answer in (first, again, by_body)} == {"order-66"}
    assert (await stage.get(f"/api/models/{MODEL}")).json()["versions_total"] == 1
    other = await stage.command("versions", {**body, "command_id": "order-67"}, headers=headers)
    assert_problem(other, 422, "idempotency-mismatch")
    fresh = {"Idempotency-Key": "order-68"}
    both = await stage.command("versions", {**body, "command_id": "order-67"}, headers=fresh)
    assert_problem(both, 422, "invalid-value")


async def test_a_decision_on_an_outdated_reading_is_refused(stage: HttpStage) -> None:
    await stage.registered()
    late = await stage.command("versions/v1/stage", {"expected_sequence": 7})
    assert "sequence" in assert_problem(late, 409, "sequence-mismatch")["detail"]
    by_etag = await stage.command("versions/v1/stage", headers={"If-Match": '"7"'})
    assert_problem(by_etag, 412, "sequence-mismatch")
    both = await stage.command("versions/v1/stage", {"expected_sequence": 7}, headers={"If-Match": '"1"'})
    assert_problem(both, 422, "invalid-value")
    right = await stage.command("versions/v1/stage", headers={"If-Match": '"1"'})
    assert right.headers["etag"] == '"2"'


async def test_versions_are_listed_filtered_and_compared(stage: HttpStage) -> None:
    await stage.promoted()
    await stage.registered(metrics={"accuracy": 0.75, "loss": 0.5})
    await stage.registered(metrics={"accuracy": 0.875})
    versions = (await stage.get(f"/api/models/{MODEL}/versions")).json()
    assert versions["active_version"] == "v1"
    assert [version["model_version"] for version in versions["versions"]] == ["v3", "v2", "v1"]
    first = (await stage.get(f"/api/models/{MODEL}/versions", limit=2)).json()
    assert [version["model_version"] for version in first["versions"]] == ["v3", "v2"]
    assert first["versions_total"] == 3
    rest = await stage.get(f"/api/models/{MODEL}/versions", before_sequence=first["next_before_sequence"], limit=2)
    assert [version["model_version"] for version in rest.json()["versions"]] == ["v1"]
    assert rest.json()["next_before_sequence"] is None
    assert (await stage.get("/api/models", after_name=MODEL)).json() == {"models": [], "total": 1}
    in_production = (await stage.get(f"/api/models/{MODEL}/versions", stage="production")).json()["versions"]
    assert [version["model_version"] for version in in_production] == ["v1"]
    assert_problem(await stage.get(f"/api/models/{MODEL}/versions", stage="live"), 422, "invalid-request")

    comparison = (await stage.get(f"/api/models/{MODEL}/compare", left="v2", right="v3")).json()
    assert comparison["metrics"] == [
        {"name": "accuracy", "left": 0.75, "right": 0.875, "difference": 0.125},
        {"name": "loss", "left": 0.5, "right": None, "difference": None},
    ]
    assert comparison["same_artifact"] is False
    assert (await stage.get(f"/api/models/{MODEL}/versions/v2")).json()["metrics"]["loss"] == 0.5

    assert assert_problem(await stage.get("/api/models/faces"), 404, "unknown-model")["legal"] == [MODEL]
    assert_problem(await stage.get("/api/models/faces/versions"), 404, "unknown-model")
    assert_problem(await stage.get("/api/models/faces/training-runs"), 404, "unknown-model")
    unknown = await stage.get(f"/api/models/{MODEL}/compare", left="v2", right="v8")
    assert assert_problem(unknown, 404, "unknown-version")["legal"] == ["v3", "v2", "v1"]
    assert_problem(await stage.get(f"/api/models/{MODEL}/versions/v8"), 404, "unknown-version")
    assert_problem(await stage.get(f"/api/models/{MODEL}/compare", left="v2"), 422, "invalid-request")


async def test_every_query_can_be_asked_of_the_past(stage: HttpStage) -> None:
    await stage.promoted()
    before = await stage.get(f"/api/models/{MODEL}")
    offset = before.json()["offset"]
    # The log's clock may be the broker's, so the time is taken from it; the next event must be later than it.
    time = before.json()["updated_at"]
    while datetime.now(UTC) <= datetime.fromisoformat(time):
        await asyncio.sleep(0.001)
    await stage.promoted()
    assert (await stage.get(f"/api/models/{MODEL}")).json()["active_version"] == "v2"

    for query in ({"as_of_offset": offset}, {"as_of_time": time}):
        assert (await stage.get(f"/api/models/{MODEL}", **query)).json() == before.json()
        versions = (await stage.get(f"/api/models/{MODEL}/versions", **query)).json()["versions"]
        assert [version["model_version"] for version in versions] == ["v1"]
        assert_problem(await stage.get(f"/api/models/{MODEL}/versions/v2", **query), 404, "unknown-version")
    assert (await stage.get("/api/models", as_of_time="2001-01-01T00:00:00Z")).json()["models"] == []
    by_stage = (await stage.get("/api/models", as_of_offset=0)).json()["models"][0]["versions_by_stage"]
    assert by_stage == {"none": 1}

    replayed = AsyncMock(side_effect=AssertionError("the future needs no replay"))
    newest = (await stage.get(f"/api/models/{MODEL}")).json()["offset"]
    with patch.object(RegistryAsOf, "_replayed", replayed):
        for future in ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999Z"):
            refused = await stage.get(f"/api/models/{MODEL}", as_of_time=future)
            problem = assert_problem(refused, 422, "invalid-value")
            assert f"the newest event of the log is at offset {newest}, of " in problem["detail"]

    for query in (
        {"as_of_offset": 99},
        {"as_of_time": "2026-01-01T00:00:00"},
        {"as_of_offset": 0, "as_of_time": time},
        {"as_of_time": "yesterday"},
    ):
        assert_problem(await stage.get("/api/models", **query), 422, "invalid-value")
    assert_problem(await stage.get("/api/models", as_of_offset=-1), 422, "invalid-request")


async def test_the_event_log_is_paged_filtered_and_says_what_is_void(stage: HttpStage, new_log: NewLog) -> None:
    await stage.promoted()
    await append(new_log(), b"not an event", b'{"neither": "this"}')
    await stage.registered()

    page = (await stage.get("/api/events", limit=2)).json()
    assert [entry["offset"] for entry in page["events"]] == [0, 1]
    offsets: list[int] = []
    answer = await stage.get("/api/events", limit=2)
    while True:
        offsets += [entry["offset"] for entry in answer.json()["events"]]
        following = answer.json()["next"]
        if following is None:
            break
        assert answer.headers["link"] == f'<{following}>; rel="next"'
        answer = await stage.get(following)
    assert offsets == list(range(6))

    filtered = await stage.get("/api/events", last=6, limit=1, actor="nobody else", type="promoted")
    assert "link" not in filtered.headers, "it looked to the end"

    third, fourth = (await stage.get("/api/events", from_offset=3, limit=2)).json()["events"]
    assert third["unreadable_text"] == "not an event"
    assert third["void_kind"] == "unreadable"
    assert fourth["event"] == {"neither": "this"}
    assert "CloudEvents" in fourth["void_because"]

    promotions = (await stage.get("/api/events", type="promoted", model_name=MODEL)).json()
    assert [entry["offset"] for entry in promotions["events"]] == [2]
    by_full_name = await stage.get("/api/events", type="hotswap.model.promoted.v1")
    assert by_full_name.json()["events"] == promotions["events"]
    assert (await stage.get("/api/events", model_name="faces")).json()["events"] == []
    last = (await stage.get("/api/events", last=1)).json()["events"]
    assert [entry["offset"] for entry in last] == [5]
    assert "void_because" not in last[0]
    assert_problem(await stage.get("/api/events", last=1, from_offset=0), 422, "invalid-value")
    assert_problem(await stage.get("/api/events", limit=0), 422, "invalid-request")


async def append(log: RegistryLog, *values: bytes) -> None:
    """Write records as some other process would."""
    await log.start()
    try:
        await log.append(MODEL.encode(), values)
    finally:
        await log.stop()


async def test_what_another_process_does_is_seen(stage: HttpStage, new_log: NewLog) -> None:
    await stage.registered()
    async with started_registry(new_log()) as elsewhere:
        meta: dict[str, Any] = {"actor": "bob", "model_name": MODEL, "model_version": "v1"}
        await elsewhere.handle(StageVersion(command_id="a", **meta))
        await elsewhere.handle(ArchiveVersion(command_id="b", **meta))
        unchanged = await stage.command("versions/v1/archive")
    assert unchanged.json()["status"] == "unchanged"
    assert unchanged.json()["version"]["stage"] == "archived"


async def test_an_artifact_must_be_in_the_store_and_whole(stage: HttpStage) -> None:
    missing = f"sha256:{'0' * 64}"
    problem = assert_problem(await stage.command("versions", {"artifact_digest": missing}), 422, "invalid-value")
    assert missing in problem["detail"]
    assert_problem(await stage.command("versions", {"artifact_digest": "sha256:12"}), 422, "invalid-request")
    digest = await stage.stored_artifact()
    path = await stage.artifacts.local_path(digest)
    assert path is not None
    path.write_bytes(flip_bit(path.read_bytes(), 500))
    assert_problem(await stage.command("versions", {"artifact_digest": digest}), 422, "damaged-artifact")
    for content in (b"no artifact", b""):
        # Whoever may write to the store can put anything there under its digest.
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        other = path.parents[2] / path_of(digest)
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(content)
        assert_problem(await stage.command("versions", {"artifact_digest": digest}), 422, "not-an-artifact")


async def test_health_status_and_metrics_tell_the_same_story(stage: HttpStage) -> None:
    assert (await stage.get("/api/health/live")).json() == {"status": "live"}
    await stage.promoted()
    await stage.promoted()
    await stage.accepted("rollback")
    await stage.command("switch", {"model_version": "v7"})
    assert (await stage.get("/api/health/ready")).json() == {"status": "ready", "next_offset": 7, "degraded": []}

    for alike in ("live", "ready"):
        assert (await stage.get(f"/{alike}z")).json() == (await stage.get(f"/api/health/{alike}")).json()

    status = (await stage.get("/api/status")).json()
    assert status["ready"] is True
    assert status["environment"] == "test"
    assert (status["models"], status["active_models"], status["versions"]) == (1, 1, 2)
    assert (status["events_applied"], status["events_void"]) == (7, 0)

    metrics = await stage.get("/metrics")
    assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = metrics.text.splitlines()
    for left, right, outcome in (
        ("none", "v1", "success"),
        ("v2", "v1", "success"),
        ("v1", "unknown", "unknown-version"),
    ):
        labels = f'model_name="{MODEL}",from_version="{left}",to_version="{right}",status="{outcome}"'
        assert f"model_switches_total{{{labels}}} 1" in lines
    assert any(line.startswith("model_version_info{") and 'model_version="v1"' in line for line in lines)
    assert "hotswap_registry_next_offset 7" in lines

    await stage.registry.log.stop()
    problem = assert_problem(await stage.get("/api/health/ready"), 503, "not-ready")
    assert problem["detail"]
    assert (await stage.get("/api/status")).json()["ready"] is False
    gone = await stage.command("versions/v1/archive")
    assert_problem(gone, 503, "log-unavailable")
    assert gone.headers["retry-after"]
