"""Keys over HTTP: made, shown, rotated and revoked, and what each opens on which model."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hotswap_events.commands import StageVersion
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.key_log import MemoryKeyLog
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.keys.changes import KeyOrder
from hotswap_stream.application.keys.office import LogOffice
from tests.support.problems import assert_problem
from tests.support.stages.http import MODEL, HttpStage, open_http_stage


def office_of(keys: MemoryKeyLog) -> LogOffice:
    return LogOffice(keys, "test", lambda: datetime.now(UTC))


@pytest.fixture
def keys() -> MemoryKeyLog:
    return MemoryKeyLog()


@pytest.fixture
async def stage(keys: MemoryKeyLog, tmp_path: Path) -> Any:
    """Asked with an admin key unless a request says otherwise."""
    admin = await office_of(keys).create(KeyOrder(name="ada", scopes=("admin",)))
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with open_http_stage(log, tmp_path, keys=keys, heartbeat_seconds=0.1) as stage:
        stage.client.headers["X-API-Key"] = admin.token
        yield stage


async def made(stage: HttpStage, name: str, *scopes: str, **more: Any) -> dict[str, str]:
    """The headers that show a new key."""
    answer = await stage.client.post("/api/keys", json={"name": name, "scopes": scopes, **more})
    assert answer.status_code == 201, answer.text
    return {"X-API-Key": answer.json()["token"]}


async def status_for(stage: HttpStage, headers: dict[str, str]) -> int:
    """Return the status of a question by somebody who has this key alone."""
    async with httpx.AsyncClient(base_url=stage.url, headers=headers, timeout=60) as other:
        return (await other.get("/api/models")).status_code


async def test_a_key_is_made_shown_rotated_and_revoked(stage: HttpStage) -> None:
    answer = await stage.client.post("/api/keys", json={"name": "ci", "scopes": ["read"], "valid_seconds": 3_600})
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    created = answer.json()
    assert (created["created_by"], created["state"], created["scopes"]) == ("ada", "active", ["read"])
    first = {"Authorization": f"Bearer {created['token']}"}
    assert await status_for(stage, first) == 200

    listed = await stage.get("/api/keys")
    assert [key["name"] for key in listed.json()["keys"]] == ["ada", "ci"]
    assert "token" not in listed.text
    assert created["token"].rpartition("_")[2] not in listed.text

    rotated = (await stage.client.post("/api/keys/ci/rotate", json={"old_valid_seconds": 600})).json()
    assert rotated["key_id"] == created["key_id"]
    second = {"X-API-Key": rotated["token"]}
    for headers in (first, second):
        assert await status_for(stage, headers) == 200

    revoked = await stage.client.post(f"/api/keys/{created['key_id']}/revoke", json={"reason": "lost"})
    assert (revoked.json()["state"], revoked.json()["revoked_by"], revoked.json()["revoked_because"]) == (
        "revoked",
        "ada",
        "lost",
    )
    for headers in (first, second):
        assert await status_for(stage, headers) == 401


async def test_what_no_key_can_be_is_refused(stage: HttpStage) -> None:
    for body, code in (
        ({"name": "ci", "scopes": []}, "invalid-request"),
        ({"name": "ci", "scopes": ["root"]}, "invalid-request"),
        ({"name": "ada", "scopes": ["read"]}, "invalid-value"),
        ({"name": "worker", "scopes": ["admin"], "models": [MODEL]}, "invalid-value"),
        ({"name": "ci", "scopes": ["read"], "secret": "chosen"}, "invalid-request"),
    ):
        assert_problem(await stage.client.post("/api/keys", json=body), 422, code)
    assert_problem(await stage.get("/api/keys/nobody"), 404, "unknown-key")


async def test_a_key_of_some_models_opens_those_alone(stage: HttpStage) -> None:
    version = await stage.registered()
    of_digits = await made(stage, "digits-team", "operate", "infer", models=[MODEL, "fraud-*"])
    client = stage.client
    ours = await client.get(f"/api/models/{MODEL}", headers=of_digits)
    assert ours.status_code == 200
    assert (await client.get("/api/models/fraud-de", headers=of_digits)).status_code == 404
    other = assert_problem(await client.get("/api/models/others", headers=of_digits), 403, "not-permitted")
    assert other["legal"] == [MODEL, "fraud-*"]
    assert_problem(await client.get("/api/models", headers=of_digits), 403, "not-permitted")
    assert_problem(await client.get("/api/models?model_name=digits", headers=of_digits), 403, "not-permitted")
    events = await client.get("/api/events", params={"model_name": MODEL}, headers=of_digits)
    assert events.json()["events"][0]["event"]["actor"] == "ada"
    for query in ({}, {"model_name": "others"}, {"model_name": [MODEL, "others"]}):
        assert_problem(await client.get("/api/events", params=query, headers=of_digits), 403, "not-permitted")
    staged = await client.post(f"/api/models/{MODEL}/versions/{version}/stage", json={}, headers=of_digits)
    assert staged.status_code == 200
    predicted = await client.post("/api/predict", json={"data": [1], "model_name": "others"}, headers=of_digits)
    assert_problem(predicted, 403, "not-permitted")
    inferred = await client.post("/v2/models/others/infer", json={"inputs": []}, headers=of_digits)
    assert (inferred.status_code, list(inferred.json())) == (403, ["error"])
    ours = await client.post(f"/v2/models/{MODEL}/infer", json={"inputs": []}, headers=of_digits)
    assert ours.status_code == 503, "there is no way to the models here"


async def test_the_name_of_the_key_is_the_actor_and_no_header_makes_it_another(stage: HttpStage) -> None:
    bob = await made(stage, "bob", "operate")
    body = {"artifact_digest": await stage.stored_artifact()}
    claimed = await stage.command("versions", body, headers={**bob, "X-Actor": "ada"})
    assert "leave the header out" in assert_problem(claimed, 403, "actor-claimed")["detail"]
    assert (await stage.command("versions", body, headers={**bob, "X-Actor": "bob"})).status_code == 200
    (entry,) = (await stage.get("/api/events")).json()["events"]
    assert entry["event"]["actor"] == "bob"


async def test_a_stream_ends_when_its_key_is_revoked(stage: HttpStage) -> None:
    reader = await made(stage, "reader", "read")
    async with asyncio.timeout(60), stage.client.stream("GET", "/api/events/stream", headers=reader) as stream:
        lines = stream.aiter_lines()
        assert "from offset" in await anext(lines)
        await stage.client.post("/api/keys/reader/revoke", json={})
        rest = [line async for line in lines]
    assert any("no longer valid" in line for line in rest)


@pytest.mark.parametrize(
    ("path", "form"), [("/v2/models/digits", "error"), ("/api/2.0/mlflow/registered-models/get?name=x", "error_code")]
)
async def test_each_protocol_is_refused_in_its_own_form(stage: HttpStage, path: str, form: str) -> None:
    async with httpx.AsyncClient(base_url=stage.url, timeout=60) as stranger:
        answer = await stranger.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert form in answer.json()
        infer = await stranger.post("/v2/models/digits/infer", json={})
        assert (infer.status_code, list(infer.json())) == (401, ["error"])
        assert infer.headers["www-authenticate"].startswith("Bearer")


async def test_refused_attempts_are_counted_and_show_no_secret(
    stage: HttpStage, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = await made(stage, "reader", "read")
    secret = reader["X-API-Key"][:-1] + ("0" if reader["X-API-Key"][-1] != "0" else "1")
    async with httpx.AsyncClient(base_url=stage.url, timeout=60) as stranger:
        for headers in ({}, {"X-API-Key": secret}, {"X-API-Key": secret}):
            assert (await stranger.get("/api/models", headers=headers)).status_code == 401
        assert (await stranger.post(f"/api/models/{MODEL}/rollback", json={}, headers=reader)).status_code == 403
        metrics = (await stranger.get("/metrics")).text
    for line in (
        'hotswap_requests_not_permitted_total{reason="no-key"} 1',
        'hotswap_requests_not_permitted_total{reason="unknown"} 2',
        'hotswap_requests_not_permitted_total{reason="scope"} 1',
    ):
        assert line in metrics
    logged = capsys.readouterr().out
    assert logged.count("request_not_permitted") == 3
    assert secret.rpartition("_")[2] not in logged


async def test_open_to_loopback_needs_no_key_and_believes_no_proxy(tmp_path: Path) -> None:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with open_http_stage(log, tmp_path, keys=MemoryKeyLog(), open_to="loopback") as stage:
        assert (await stage.get("/api/models")).status_code == 200
        for headers in ({"X-Forwarded-For": "127.0.0.1"}, {"X-API-Key": "wrong"}):
            assert_problem(await stage.client.get("/api/models", headers=headers), 401, "unauthorized")


async def test_events_show_how_their_actor_is_known(stage: HttpStage) -> None:
    body = {"artifact_digest": await stage.stored_artifact()}
    assert (await stage.command("versions", body)).status_code == 200
    await stage.registry.handle(StageVersion(command_id="s", actor="ada", model_name=MODEL, model_version="v1"))
    events = [entry["event"] for entry in (await stage.get("/api/events")).json()["events"]]
    assert [(event["actor"], event.get("actorby")) for event in events] == [("ada", "key"), ("ada", None)]


async def test_a_command_that_comes_too_late_is_refused(stage: HttpStage) -> None:
    version = await stage.registered()
    path, past = f"versions/{version}/stage", datetime(2026, 1, 2, tzinfo=UTC).isoformat()
    late = assert_problem(await stage.command(path, {"expires_at": past}), 409, "command-expired")
    assert "before 2026-01-02T00:00:00" in late["detail"]
    in_time = datetime(2999, 1, 1, tzinfo=UTC).isoformat()
    body = {"expires_at": in_time, "command_id": "once"}
    assert (await stage.accepted(path, body))["model_version"] == version
    # What was carried out in time stays so, whenever it is asked about again.
    again = await stage.command(path, {"expires_at": past, "command_id": "once"})
    assert again.json()["status"] == "unchanged"


async def test_a_key_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path) -> None:
    keys = MemoryKeyLog()
    busy = await office_of(keys).create(KeyOrder(name="busy", scopes=("read",)))
    calm = await office_of(keys).create(KeyOrder(name="calm", scopes=("read",)))
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    limits: dict[str, Any] = {"requests_per_second_per_key_max": 0.001}
    async with open_http_stage(log, tmp_path, keys=keys, **limits) as stage:

        async def asked(token: str) -> httpx.Response:
            return await stage.client.get("/api/models", headers={"X-API-Key": token})

        assert (await asked(busy.token)).status_code == 200
        refused = await asked(busy.token)
        assert_problem(refused, 429, "too-many-requests")
        wait_s = int(refused.headers["retry-after"])
        assert wait_s > 0
        assert refused.headers["ratelimit-policy"] == '"key";q=1;w=1000'
        assert refused.headers["ratelimit"] == f'"key";r=0;t={wait_s}'
        assert (await asked(calm.token)).status_code == 200


async def test_a_used_idempotency_key_is_not_taken_for_another_command(stage: HttpStage) -> None:
    version, bob = await stage.registered(), await made(stage, "bob", "operate")
    path, headers = f"versions/{version}/stage", {"Idempotency-Key": "nightly"}
    for status in ("accepted", "unchanged"):
        assert (await stage.command(path, {"reason": "r"}, headers=headers)).json()["status"] == status
    for other, body in ((path, {"reason": "another"}), (f"versions/{version}/archive", {"reason": "r"})):
        assert_problem(await stage.command(other, body, headers=headers), 422, "idempotency-mismatch")
    # Another's key of the same name is his; that the log knows the id is another matter.
    his = await stage.command(path, {"reason": "mine"}, headers={**headers, **bob})
    assert his.json()["status"] == "unchanged"
    # What was refused may be put right under the same key.
    wrong = {"Idempotency-Key": "wrong"}
    assert (await stage.command(path, {"expected_sequence": 99}, headers=wrong)).status_code == 409
    assert (await stage.command(f"versions/{version}/archive", {}, headers=wrong)).status_code == 200
