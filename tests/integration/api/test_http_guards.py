"""Who may ask, and what a command must bring: names of the server, pages of other sites, bodies that got lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.api import create_app
from tests.support.problems import assert_problem
from tests.support.raw_http import RawAnswer, raw_connection, request
from tests.support.stages.http import MODEL, HttpStage, open_http_stage, served, services_on, started_registry

DISABLE = f"/api/models/{MODEL}/disable"
INFER = f"/v2/models/{MODEL}/infer"
JSON = "Content-Type: application/json"
GUARDED = b'{"expected_sequence": 999, "reason": "maintenance"}'
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA")


@pytest.fixture
def memory_log() -> MemoryRegistryLog:
    return MemoryRegistryLog(MemoryRegistry(SystemClock()))


@pytest.fixture
async def stage(memory_log: MemoryRegistryLog, tmp_path: Path) -> AsyncIterator[HttpStage]:
    async with open_http_stage(memory_log, tmp_path) as stage:
        await stage.promoted()
        yield stage


async def sent(stage: HttpStage, data: bytes, *, then_ends: bool = False) -> RawAnswer | None:
    async with raw_connection(stage.url) as connection:
        await connection.send(data)
        if then_ends:
            connection.writer.write_eof()
        return await connection.answer()


def still_on(stage: HttpStage) -> bool:
    return not stage.registry.state(MODEL).serving.disabled


async def test_a_guard_holds_where_an_upgrade_is_offered(stage: HttpStage) -> None:
    """Java's HttpClient offers h2c: its `disable` was accepted although `expected_sequence` did not fit."""
    for offer in ((), H2C, ("Connection: Upgrade", "Upgrade: websocket")):
        answer = await sent(stage, request(DISABLE, GUARDED, JSON, *offer))
        assert answer is not None
        assert answer.status == 409, answer
    assert still_on(stage)
    accepted = await sent(stage, request(DISABLE, b'{"reason": "maintenance"}', JSON, *H2C))
    assert accepted is not None
    assert accepted.status == 200
    assert not still_on(stage)
    last = (await stage.get("/api/events", last=1)).json()["events"][0]
    assert last["event"]["reason"] == "maintenance"


CHUNKED = f"POST {DISABLE} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
SAID_MORE = f"POST {DISABLE} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 100\r\n\r\n".encode()


NO_BODY = (
    request(DISABLE),
    request(DISABLE, b"", JSON),
    f"POST {DISABLE} HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\n\r\n".encode(),
    f"POST {DISABLE} HTTP/1.0\r\n{JSON}\r\n\r\n".encode(),
    CHUNKED + b"0\r\n\r\n",
    CHUNKED + b"2\r\n{}\r\n",
    SAID_MORE,
    SAID_MORE + b"{}",
    request(DISABLE, b"null", JSON),
    request(DISABLE, b"{}"),
    request(DISABLE, b"{}", "Content-Type: text/plain"),
    request(DISABLE, b"{}", "Content-Type: application/x-www-form-urlencoded"),
)


async def test_a_command_whose_body_is_not_there_is_refused(stage: HttpStage) -> None:
    """A command without its body was accepted: guard and reason were gone."""
    for data in NO_BODY:
        answer = await sent(stage, data, then_ends=data.startswith(SAID_MORE) or data == CHUNKED + b"2\r\n{}\r\n")
        assert answer is None or answer.status in (400, 408, 415, 422), (data, answer)
    assert still_on(stage)


async def test_an_empty_object_says_that_nothing_is_meant(stage: HttpStage) -> None:
    missing = await stage.client.post(DISABLE)
    assert "'{}'" in assert_problem(missing, 422, "body-missing")["detail"]
    assert (await stage.client.post(DISABLE, json={})).status_code == 200
    assert not still_on(stage)


ROUTES = (
    (DISABLE, "POST"),
    (f"/api/models/{MODEL}/switch", "POST"),
    (f"/api/models/{MODEL}/training-runs", "POST"),
    (f"/api/models/{MODEL}/feedback", "POST"),
    (f"/api/models/{MODEL}/serving-policy", "PUT"),
    (INFER, "POST"),
    (f"/v2/models/{MODEL}/versions/v1/infer", "POST"),
    ("/v2/repository/index", "POST"),
    ("/api/predict", "POST"),
    ("/api/events", "GET"),
    ("/api/events/stream", "GET"),
    ("/api/models", "GET"),
    ("/api/status", "GET"),
    ("/metrics", "GET"),
    ("/schema", "GET"),
    ("/nothing", "GET"),
)


async def test_another_name_is_refused_on_every_route(stage: HttpStage) -> None:
    """A page whose name was pointed at this server (DNS rebinding) had a `switch` accepted."""
    headers = (JSON, "Origin: http://evil.example:8000")
    for path, method in ROUTES:
        for target, host in ((path, "evil.example:8000"), (f"http://evil.example:8000{path}", "localhost")):
            answer = await sent(stage, request(target, b"{}", *headers, method=method, host=host))
            assert answer is not None
            assert answer.status == 403, (method, target)
            assert b"HOTSWAP_API_ALLOWED_HOSTS" in answer.body
            assert b"evil.example" in answer.body
    assert still_on(stage)


OF_OTHER_SITES = (
    ("Origin: https://example.org",),
    ("Origin: null",),
    ("Origin: http://localhost:9999",),
    ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"),
    ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"),
    ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"),
)


async def test_a_page_of_another_site_can_neither_command_nor_infer(stage: HttpStage) -> None:
    for headers in OF_OTHER_SITES:
        for path in (DISABLE, INFER, "/api/predict"):
            answer = await sent(stage, request(path, b"{}", JSON, *headers, host=stage.url.removeprefix("http://")))
            assert answer is not None
            assert answer.status == 403, (path, headers, answer)
    assert still_on(stage)


async def test_pages_of_ours_and_links_to_them(stage: HttpStage) -> None:
    own = {"Origin": stage.url, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert (await stage.client.post(DISABLE, json={}, headers=own)).status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await stage.client.get("/schema", headers=link)).status_code == 200
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert_problem(await stage.client.get("/api/events/stream", headers=embedded), 403, "forbidden")


async def test_a_page_cannot_infer_by_a_simple_request(stage: HttpStage) -> None:
    """What a browser sends without asking first has another content type, or none."""
    host = stage.url.removeprefix("http://")
    for headers in (("Content-Type: text/plain",), (f"Origin: {stage.url}",), (f"Referer: {stage.url}/x",)):
        answer = await sent(stage, request(INFER, b'{"inputs": []}', *headers, host=host))
        assert answer is not None
        assert answer.status == 415, answer
    # Clients of the protocol leave it out; there is no worker, or else it would be answered.
    answer = await sent(stage, request(INFER, b'{"inputs": []}', host=host))
    assert answer is not None
    assert answer.status != 415


async def test_one_host_is_needed(stage: HttpStage) -> None:
    for head, status in (
        ("GET /api/health/live HTTP/1.1\r\n\r\n", 400),
        ("GET /api/health/live HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        ("GET /api/health/live HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        ("GET /api/health/live HTTP/1.0\r\n\r\n", 200),
    ):
        answer = await sent(stage, head.encode())
        assert answer is not None
        assert answer.status == status, head


async def test_a_configured_name_is_answered_to(memory_log: MemoryRegistryLog, tmp_path: Path) -> None:
    async with started_registry(memory_log) as registry:
        app = create_app(services_on(registry, tmp_path))
        async with served(app, allowed_hosts=("hotswap-api.models.svc",)) as url, raw_connection(url) as connection:
            await connection.send(request("/api/health/live", method="GET", host="hotswap-api.models.svc:8000"))
            answer = await connection.answer()
            assert answer is not None
            assert answer.status == 200


async def test_head_is_get_without_its_body(stage: HttpStage) -> None:
    for path in (f"/api/models/{MODEL}", "/api/health/live", "/metrics", "/v2/health/live", "/schema/openapi.json"):
        got, head = await stage.get(path), await stage.client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]
        assert head.headers.get("etag") == got.headers.get("etag")
    assert (await stage.client.head("/api/models/nobody")).status_code == 404
    refused = await stage.client.head(DISABLE)
    assert (refused.status_code, refused.headers["allow"]) == (405, "OPTIONS, POST")
    endless = await stage.client.head("/api/events/stream")
    assert (endless.status_code, endless.content) == (200, b"")


async def test_what_is_allowed_is_told(stage: HttpStage) -> None:
    for path, allowed in (
        (f"/api/models/{MODEL}/alert-policy", "GET, HEAD, OPTIONS, PUT"),
        (f"/api/models/{MODEL}/versions", "GET, HEAD, OPTIONS, POST"),
        (DISABLE, "OPTIONS, POST"),
        ("/v2/health/live", "GET, HEAD, OPTIONS"),
    ):
        options = await stage.client.options(path)
        assert (options.status_code, options.headers["allow"], options.content) == (204, allowed, b"")
        refused = await stage.client.request("TRACE", path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
    assert (await stage.client.options("/api/nothing")).status_code == 404


async def test_metrics_name_their_charset_once(stage: HttpStage) -> None:
    content_type = (await stage.get("/metrics")).headers["content-type"]
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"


async def test_no_number_passes_for_a_time_or_a_truth_value(stage: HttpStage) -> None:
    for name, path in (("as_of_time", "/api/models"), ("since", f"/api/models/{MODEL}/drift")):
        for text in ("0.5", "1700000000", "tomorrow"):
            assert_problem(await stage.get(path, **{name: text}), 422, "invalid-value")
    index = await stage.client.post("/v2/repository/index", json={"ready": 0})
    assert index.status_code == 400, index.text
    assert (await stage.client.post("/v2/repository/index")).status_code == 200


async def test_no_number_in_a_body_passes_for_a_truth_value(stage: HttpStage) -> None:
    """`allow_signature_change: 0` was taken for false, `1` would have broken the users' requests."""
    await stage.registered()
    for value in (1, 0, "true"):
        wrong = await stage.command("switch", {"model_version": "v2", "allow_signature_change": value})
        assert "allow_signature_change" in assert_problem(wrong, 422, "invalid-request")["detail"]
    profile = {"source": "x", "rows": 2**63, "sketches": {}}
    answer = await stage.client.put(f"/api/models/{MODEL}/versions/v2/profile", json=profile)
    assert "64 bits" in assert_problem(answer, 422, "invalid-request")["detail"]
    assert_problem(await stage.get("/api/events", from_offset=2**63), 422, "invalid-request")
    assert (await stage.get(f"/api/models/{MODEL}")).json()["active_version"] == "v1"
