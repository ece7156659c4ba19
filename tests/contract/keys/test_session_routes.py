"""Signing in to the page: what the cookie opens, to whom, and until when."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.key_log import MemoryKeyLog
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.keys.attempts import WRONG_PER_MINUTE_MAX
from hotswap_stream.application.keys.changes import KeyOrder
from hotswap_stream.application.keys.office import LogOffice
from tests.support.problems import assert_problem
from tests.support.stages.http import HttpStage, open_http_stage

OUR_PAGE = {"Sec-Fetch-Site": "same-origin"}


def office_of(keys: MemoryKeyLog) -> LogOffice:
    return LogOffice(keys, "test", lambda: datetime.now(UTC))


@pytest.fixture
def keys() -> MemoryKeyLog:
    return MemoryKeyLog()


@pytest.fixture
async def stage(keys: MemoryKeyLog, tmp_path: Path) -> Any:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with open_http_stage(log, tmp_path, keys=keys, heartbeat_seconds=0.1) as stage:
        yield stage


async def signed_in(stage: HttpStage, keys: MemoryKeyLog, name: str = "ada", *scopes: Any) -> httpx.Response:
    """The answer; the client keeps its cookie."""
    token = (await office_of(keys).create(KeyOrder(name=name, scopes=scopes or ("operate",)))).token
    answer = await stage.client.post("/api/session", json={"key": token}, headers=OUR_PAGE)
    assert answer.status_code == 201, answer.text
    assert token not in answer.text + str(answer.headers)
    return answer


async def test_whoever_signs_in_is_who_the_key_says_until_signing_out(stage: HttpStage, keys: MemoryKeyLog) -> None:
    before = (await stage.get("/api/session")).json()
    assert (before["state"], before["name"], before["scopes"]) == ("signed-out", None, [])
    assert (await stage.get("/api/models")).status_code == 401

    who = (await signed_in(stage, keys)).json()
    assert (who["state"], who["name"], who["scopes"]) == ("signed-in", "ada", ["operate", "read"])
    assert who["expires_at"] > datetime.now(UTC).isoformat()
    assert (await stage.get("/api/session")).json() == who
    assert (await stage.get("/api/models")).status_code == 200
    assert (await stage.get("/api/keys")).status_code == 403
    assert stage.registry.fold.next_offset == 0

    out = await stage.client.delete("/api/session", headers=OUR_PAGE)
    assert out.status_code == 204
    assert "max-age=0" in out.headers["set-cookie"].lower()
    assert (await stage.get("/api/models")).status_code == 401
    assert (await stage.client.delete("/api/session")).status_code == 204


async def test_what_is_done_in_a_session_is_done_by_the_key(stage: HttpStage, keys: MemoryKeyLog) -> None:
    await signed_in(stage, keys)
    stage.client.headers.update(OUR_PAGE)
    await stage.registered()
    events = (await stage.get("/api/events")).json()["events"]
    assert {entry["event"]["actor"] for entry in events} == {"ada"}


async def test_the_cookie_is_for_nobody_but_our_page(stage: HttpStage, keys: MemoryKeyLog) -> None:
    cookie = (await signed_in(stage, keys)).headers["set-cookie"]
    name, _, rest = cookie.partition("=")
    assert name == f"hotswap_session_{stage.url.rpartition(':')[2]}"
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in rest.split(";")}
    assert "secure" not in rest.lower()
    own = stage.url
    for headers, status in (
        ({}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "none", "Origin": own}, 403),
        ({"Origin": own}, 422),
        (OUR_PAGE, 422),
    ):
        answer = await stage.client.post("/api/models/digits/rollback", json={"nothing": 1}, headers=headers)
        assert answer.status_code == status, (headers, answer.text)


async def test_a_wrong_key_beside_a_good_session_exempts_from_nothing(stage: HttpStage, keys: MemoryKeyLog) -> None:
    await signed_in(stage, keys)
    answer = await stage.client.post("/api/models/digits/rollback", json={}, headers={"X-API-Key": "x"})
    assert_problem(answer, 401, "unauthorized")


async def test_behind_tls_the_cookie_is_secure(stage: HttpStage, keys: MemoryKeyLog) -> None:
    token = (await office_of(keys).create(KeyOrder(name="ada", scopes=("read",)))).token
    headers = {"Origin": "https://localhost", "Host": "localhost"}
    answer = await stage.client.post("/api/session", json={"key": token}, headers=headers)
    assert answer.status_code == 201, answer.text
    assert "secure" in answer.headers["set-cookie"].lower()
    assert answer.headers["set-cookie"].startswith("hotswap_session=")


async def test_revoking_the_key_ends_the_session_and_its_stream(stage: HttpStage, keys: MemoryKeyLog) -> None:
    await signed_in(stage, keys)
    async with stage.client.stream("GET", "/api/events/stream") as stream:
        assert stream.status_code == 200
        lines = stream.aiter_lines()
        await anext(lines)
        await office_of(keys).revoke("ada", None)
        async with asyncio.timeout(60):
            rest = [line async for line in lines]
    assert any("the API key is no longer valid" in line for line in rest)
    assert_problem(await stage.get("/api/models"), 401, "unauthorized")
    assert (await stage.get("/api/session")).json()["state"] == "signed-out"


async def test_wrong_keys_are_counted_and_then_refused_for_a_while(stage: HttpStage, keys: MemoryKeyLog) -> None:
    token = (await office_of(keys).create(KeyOrder(name="ada", scopes=("read",)))).token
    for _ in range(WRONG_PER_MINUTE_MAX):
        assert_problem(await stage.client.post("/api/session", json={"key": token[:-1] + "x"}), 401, "unauthorized")
    refused = await stage.client.post("/api/session", json={"key": token})
    assert_problem(refused, 429, "too-many-requests")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    metrics = (await stage.get("/metrics")).text
    assert f'reason="unknown"}} {WRONG_PER_MINUTE_MAX}\n' in metrics
    # Whoever shows the key itself is not held up by others' mistakes.
    assert (await stage.client.get("/api/models", headers={"X-API-Key": token})).status_code == 200


@pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": 1}, {"key": "x" * 501}, {"key": "x", "more": 1}, [], None])
async def test_what_is_no_key_is_refused(stage: HttpStage, body: Any) -> None:
    assert (await stage.client.post("/api/session", json=body)).status_code == 422


@pytest.mark.parametrize("cookie", ["", "=", ";;;", "x" * 10_000, "é", b"\x00".hex(), "a" * 43])
async def test_any_bytes_as_a_cookie_open_nothing(stage: HttpStage, cookie: str) -> None:
    name = f"hotswap_session_{stage.url.rpartition(':')[2]}"
    for value in (cookie, f"{name}={cookie}", f"{name}; {name}={cookie}; {name}="):
        headers = {"Cookie": value.encode("latin-1")}
        answer = await stage.client.get("/api/models", headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 401
        assert (await stage.client.get("/api/session", headers=headers)).status_code == 200  # type: ignore[arg-type]


async def test_where_no_key_is_needed_it_says_so(tmp_path: Path) -> None:
    log = MemoryRegistryLog(MemoryRegistry(SystemClock()))
    async with open_http_stage(log, tmp_path) as stage:
        who = (await stage.get("/api/session")).json()
        assert (who["state"], who["name"]) == ("open", None)
        assert "admin" in who["scopes"]
        proxied = (await stage.client.get("/api/session", headers={"X-Forwarded-For": "1.2.3.4"})).json()
        assert proxied["state"] == "signed-out"
        # An old cookie closes nothing.
        cookie = {"Cookie": f"hotswap_session_{stage.url.rpartition(':')[2]}={'a' * 43}"}
        assert (await stage.client.get("/api/models", headers=cookie)).status_code == 200
