"""What the API says to requests that are wrong, to callers without a key, and when something inside fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar import get

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.api import app as api_app
from hotswap_stream.application.training.runs import TrainingSpec
from hotswap_stream.errors import AppendOutcomeUnknownError
from tests.support.problems import assert_problem
from tests.support.stages.http import (
    MODEL,
    PASSED,
    HttpStage,
    open_http_stage,
    served,
    services_on,
    started_registry,
)

JSON = {"content-type": "application/json"}
DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def memory_log() -> MemoryRegistryLog:
    return MemoryRegistryLog(MemoryRegistry(SystemClock()))


@pytest.fixture
async def stage(memory_log: MemoryRegistryLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(memory_log, tmp_path, request_bytes_max=10_000) as stage:
        yield stage


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"{", 400, "malformed-json", "JSON"),
        (b"\xff\xfe", 400, "malformed-json", "JSON"),
        (b'{"reason": "\xff\xfe"}', 400, "malformed-json", "utf-8"),
        (b"[" * 5_000 + b"]" * 5_000, 400, "malformed-json", "JSON"),
        (b"[]", 422, "invalid-request", "object"),
        (b"", 422, "body-missing", "'{}'"),
        (b"{}", 422, "invalid-request", "artifact_digest"),
        (b'{"artifact_digest": 7}', 422, "invalid-request", "str"),
        (b'{"artifact_digest": "sha256:no"}', 422, "invalid-request", "sha256:["),
        (b'{"artifact_digest": "%s", "shape": 1}' % DIGEST.encode(), 422, "invalid-request", "shape"),
        (b'{"artifact_digest": "%s", "metrics": {"a": "b"}}' % DIGEST.encode(), 422, "invalid-request", "metrics"),
        (b'{"artifact_digest": "%s", "expected_sequence": -1}' % DIGEST.encode(), 422, "invalid-request", "expected"),
        (b'{"reason": "%s"}' % (b"x" * 10_000), 413, "body-too-large", "10000"),
    ],
)
async def test_a_wrong_body_is_refused_with_what_is_wrong(
    stage: HttpStage, body: bytes, status: int, code: str, words: str
) -> None:
    answer = await stage.client.post(f"/api/models/{MODEL}/versions", content=body, headers=JSON)
    problem = assert_problem(answer, status, code)
    assert words in answer.text, problem


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"If-Match": "latest"}, "invalid-value"),
        ({"Idempotency-Key": ""}, "invalid-value"),
        ({"Idempotency-Key": "x" * 129}, "invalid-value"),
        ({"X-Actor": "x" * 201}, "invalid-value"),
    ],
)
async def test_a_wrong_header_is_refused(stage: HttpStage, headers: dict[str, str], code: str) -> None:
    assert_problem(await stage.command("rollback", headers=headers), 422, code)


async def test_a_trace_context_that_is_not_valid_is_passed_over(stage: HttpStage) -> None:
    body = {"artifact_digest": await stage.stored_artifact()}
    assert (await stage.command("versions", body, headers={"traceparent": "01-xyz"})).status_code == 200
    (entry,) = (await stage.get("/api/events")).json()["events"]
    assert "traceparent" not in entry["event"]


async def test_names_and_figures_that_cannot_be_stored_are_refused_by_the_rules(stage: HttpStage) -> None:
    body = {"artifact_digest": await stage.stored_artifact()}
    for model_name in ("a.b", "ä", "-x", "%00", "x" * 64):
        answer = await stage.client.post(f"/api/models/{model_name}/versions", json=body)
        assert_problem(answer, 422, "invalid-value")
    assert_problem(await stage.command("versions", {**body, "model_version": "v 1"}), 422, "invalid-value")
    await stage.registered()
    duplicate = await stage.command("versions", {**body, "model_version": "v1"})
    assert "v2" in assert_problem(duplicate, 409, "duplicate-version")["detail"]
    for figures in ({}, {"accuracy": 1.5}):
        wrong = await stage.command("versions/v1/validate", {**PASSED, "figures": figures})
        assert_problem(wrong, 422, "invalid-value")
    assert_problem(await stage.command("versions/v1/validate", {"figures": {}}), 422, "invalid-request")


async def test_paths_and_methods_that_do_not_exist(stage: HttpStage) -> None:
    assert "/schema" in assert_problem(await stage.get("/api/nothing"), 404, "not-found")["detail"]
    assert_problem(await stage.client.delete("/api/models"), 405, "method-not-allowed")


async def test_a_page_of_another_site_cannot_change_anything(stage: HttpStage) -> None:
    foreign = {"Origin": "https://example.org"}
    assert_problem(await stage.command("rollback", headers=foreign), 403, "forbidden")
    own = {"Origin": stage.url}
    assert_problem(await stage.command("rollback", headers=own), 404, "unknown-model")


async def test_keys_guard_what_changes_state_and_name_the_actor(memory_log: MemoryRegistryLog, tmp_path: Path) -> None:
    keys = {"alice": "key-of-alice", "ci": "key-of-ci"}
    async with open_http_stage(memory_log, tmp_path, api_keys=keys) as stage:
        body = {"artifact_digest": await stage.stored_artifact()}
        missing = await stage.command("versions", body)
        assert_problem(missing, 401, "unauthorized")
        assert missing.headers["www-authenticate"].startswith("Bearer")
        for wrong in ({"X-API-Key": "key-of-bob"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic a2V5"}):
            refused = await stage.command("versions", body, headers=wrong)
            assert_problem(refused, 401, "unauthorized")
            assert "key-of" not in refused.text
        alice = {"X-API-Key": "key-of-alice"}
        assert (await stage.client.get("/api/events", headers=alice)).json()["events"] == []
        claimed = await stage.command("versions", body, headers={**alice, "X-Actor": "mallory"})
        assert_problem(claimed, 403, "actor-claimed")
        by_header = await stage.command("versions", body, headers=alice)
        assert by_header.status_code == 200
        by_bearer = await stage.command("versions/v1/stage", headers={"Authorization": "Bearer key-of-ci"})
        assert by_bearer.status_code == 200
        entries = (await stage.client.get("/api/events", headers=alice)).json()["events"]
        assert [entry["event"]["actor"] for entry in entries] == ["alice", "ci"]
        assert (await stage.client.get("/api/status", headers=alice)).json()["api_keys_required"] is True


async def test_a_run_is_started_once_for_each_id(memory_log: MemoryRegistryLog, tmp_path: Path) -> None:
    started: list[tuple[TrainingSpec, str | None]] = []

    async def start(spec: TrainingSpec, reason: str | None) -> None:
        started.append((spec, reason))

    async with open_http_stage(memory_log, tmp_path, start_training=start) as stage:
        body = {"epochs": 2, "seed": 7, "reason": "new data", "command_id": "run-1"}
        answer = await stage.command("training-runs", body, headers={"X-Actor": "alice"})
        assert answer.status_code == 202
        assert answer.json() == {"run_id": "run-1", "model_name": MODEL, "status": "accepted"}
        ((spec, reason),) = started
        assert (spec.run_id, spec.model_name, spec.created_by, spec.epochs, spec.seed) == (
            "run-1",
            MODEL,
            "alice",
            2,
            7,
        )
        assert reason == "new data"
        assert_problem(await stage.command("training-runs", {"epochs": 0}), 422, "invalid-request")
        for name in ("-1", "x" * 100):
            refused = await stage.client.post(f"/api/models/{name}/training-runs", json={"epochs": 2})
            assert_problem(refused, 422, "invalid-value")
        assert len(started) == 1


async def test_a_server_that_trains_nothing_says_so(stage: HttpStage) -> None:
    assert_problem(await stage.command("training-runs"), 501, "no-training-here")


async def test_a_command_whose_fate_is_unknown_asks_for_the_same_id_again(
    stage: HttpStage, memory_log: MemoryRegistryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any) -> int:
        raise AppendOutcomeUnknownError("the log did not confirm the append")

    monkeypatch.setattr(memory_log, "append", lost)
    answer = await stage.command("versions", {"artifact_digest": await stage.stored_artifact()})
    problem = assert_problem(answer, 503, "append-outcome-unknown")
    assert answer.headers["retry-after"] == "1"
    assert problem["command_id"]


async def test_a_crash_answers_without_a_word_of_what_is_inside(
    memory_log: MemoryRegistryLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @get("/crash")
    async def crash() -> None:
        raise KeyError("the inside")

    monkeypatch.setattr(api_app, "ROUTES", (*api_app.ROUTES, crash))
    async with started_registry(memory_log) as registry:
        app = api_app.create_app(services_on(registry, tmp_path))
        async with served(app) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            answer = await client.get("/crash")
    assert_problem(answer, 500, "internal")
    assert "inside" not in answer.text


async def test_the_schema_is_served_without_another_host(stage: HttpStage) -> None:
    page = await stage.get("/schema")
    assert page.headers["content-type"].startswith("text/html")
    assert "/api/models/{model_name}/switch" in page.text
    assert "//" not in page.text.replace("<!--", "")
    document = (await stage.get("/schema/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert document == api_app.openapi_document()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /api/health/live HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"x" * 30_000 + b"\r\n\r\n", b"200"),
        (b"GET /api/health/live HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"x" * 100_000, b"400"),
        (b"GET /api/health/live HTTP/1.1\r\nhost: localhost\r\n" + b"x-many: x\r\n" * 10_000 + b"\r\n", b"400"),
        (b"no HTTP\r\n\r\n", b"400"),
    ],
)
async def test_the_head_of_a_request_has_a_limit(stage: HttpStage, head: bytes, status: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(stage.url.rpartition(":")[2]))
    try:
        writer.write(head)
        await writer.drain()
        assert (await reader.readline()).split()[1] == status
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
