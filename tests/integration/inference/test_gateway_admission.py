"""What the gateway passes on, and what it refuses before the workers: on the real broker, with workers by hand."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hotswap_events import headers as header_names
from hotswap_stream import bootstrap
from hotswap_stream.client import AsyncRegistryClient, InferenceRefusedError, RefusedError, TopicClient
from hotswap_stream.settings import Settings
from tests.support.stages.asking import INPUT, ROWS, running_api
from tests.support.stages.hand_worker import Answer, HandWorker, Headers, answering, hand_worker
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Gateway:
    def __init__(self, stage: Stage, worker: HandWorker, url: str, http: httpx.AsyncClient) -> None:
        self.stage, self.worker, self.url, self.http = stage, worker, url, http

    async def infer(self, path: str = "infer", **headers: str) -> httpx.Response:
        body = {"inputs": [INPUT]}
        named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        return await self.http.post(f"/v2/models/{MODEL}/{path}", json=body, headers=named)


def by_pin(headers: Headers) -> Answer:
    """v1 answers, or the version named; v3 is one that cannot be had."""
    version = headers.get(header_names.MODEL_VERSION, b"v1").decode()
    return "unknown-version" if version == "v3" else answering(version)


@asynccontextmanager
async def open_gateway(kafka: str, home: Path, **changes: Any) -> AsyncIterator[Gateway]:
    settings: Settings = msgspec.structs.replace(
        stage_settings(kafka, f"admission-{uuid.uuid4().hex[:12]}", home), api_port=0, **changes
    )
    async with open_stage(settings) as stage:
        for value in (1.0, 2.0, 3.0):
            await stage.register_answering(value)
        await stage.switch("v1")
        async with (
            hand_worker(stage, by_pin) as worker,
            running_api(settings) as url,
            httpx.AsyncClient(base_url=url, timeout=60) as http,
        ):
            await http.get("/api/health/ready")
            yield Gateway(stage, worker, url, http)


async def test_what_is_said_beside_a_request_reaches_the_worker(kafka: str, tmp_path: Path) -> None:
    async with open_gateway(kafka, tmp_path, api_infer_timeout_ms=9_000) as gateway:
        worker = gateway.worker
        before_ms = time.time() * 1_000
        answer = await gateway.infer("versions/v2/infer", hotswap_routing_key="Zoë", traceparent=TRACE)
        assert (answer.status_code, answer.json()["model_version"]) == (200, "v2"), answer.text
        seen = worker.seen[-1]
        assert seen[header_names.MODEL_VERSION] == b"v2"
        assert seen[header_names.ROUTING_KEY].decode() == "Zoë"
        assert seen[header_names.TRACEPARENT].decode() == TRACE
        assert before_ms + 9_000 <= int(seen[header_names.DEADLINE]) <= time.time() * 1_000 + 9_000

        plain = await gateway.infer(traceparent="not-one")
        assert plain.json()["model_version"] == "v1"
        assert set(worker.seen[-1]) == {
            header_names.CONTENT_TYPE,
            header_names.DEADLINE,
            header_names.REPEATED_ID,
        }

        async with TopicClient(
            str(gateway.stage.settings.kafka_bootstrap_servers), prefix=gateway.stage.topics.prefix
        ) as client:
            pinned = await client.infer(
                MODEL,
                {"x": ROWS},
                routing_key="Zoë",
                model_version="v2",
                traceparent=TRACE,
                deadline_s=3.0,
                timeout_s=20,
            )
            assert pinned.model_version == "v2"
            same = (header_names.ROUTING_KEY, header_names.MODEL_VERSION, header_names.TRACEPARENT)
            assert [worker.seen[-1][name] for name in same] == [seen[name] for name in same]
            assert header_names.REPEATED_ID not in worker.seen[-1]
            assert int(worker.seen[-1][header_names.DEADLINE]) <= time.time() * 1_000 + 3_000
            with pytest.raises(InferenceRefusedError, match="unknown-version"):
                await client.infer(MODEL, {"x": ROWS}, model_version="v3")
            with pytest.raises(ValueError, match="routing_key has 300 characters"):
                await client.infer(MODEL, {"x": ROWS}, routing_key="k" * 300)
            with pytest.raises(ValueError, match="control characters"):
                await client.infer(MODEL, {"x": ROWS}, routing_key="a\nb")

        async with AsyncRegistryClient(gateway.url) as over_http:
            pinned = await over_http.infer(
                MODEL, {"x": ROWS}, routing_key="Zoë", model_version="v2", traceparent=TRACE, deadline_s=3.0
            )
            assert pinned.model_version == "v2"
            assert worker.seen[-1][header_names.ROUTING_KEY].decode() == "Zoë"
            assert int(worker.seen[-1][header_names.DEADLINE]) <= time.time() * 1_000 + 3_000
            with pytest.raises(RefusedError, match="404"):
                await over_http.infer(MODEL, {"x": ROWS}, model_version="v3")


async def test_versions_and_headers_that_do_not_fit_are_refused_at_once(kafka: str, tmp_path: Path) -> None:
    async with open_gateway(kafka, tmp_path) as gateway:
        unknown = await gateway.infer("versions/v9/infer")
        assert (unknown.status_code, list(unknown.json())) == (404, ["error"])
        assert "v1" in unknown.json()["error"], "it lists the versions there are"
        for headers, status, words in (
            ({"hotswap_deadline_ms": "1000"}, 504, "deadline"),
            ({"hotswap_deadline_ms": "soon"}, 400, "milliseconds"),
            ({"hotswap_routing_key": "k" * 300}, 400, "300 characters"),
        ):
            refused = await gateway.infer(**headers)
            assert (refused.status_code, list(refused.json())) == (status, ["error"])
            assert words in refused.json()["error"]
        assert not gateway.worker.seen
        from_the_worker = await gateway.infer("versions/v3/infer")
        assert (from_the_worker.status_code, from_the_worker.json()) == (404, {"error": "it is unknown-version"})
        predicted = await gateway.http.post("/api/predict", json={"data": INPUT["data"], "model_version": "v2"})
        assert (predicted.status_code, predicted.json()["model_version"]) == (200, "v2")


async def test_a_model_whose_worker_stands_still_is_refused_until_it_goes_on(kafka: str, tmp_path: Path) -> None:
    changes = {"api_infer_wait_ms_max": 300, "api_infer_timeout_ms": 20_000}
    async with open_gateway(kafka, tmp_path, **changes) as gateway:
        assert (await gateway.infer()).status_code == 200
        gateway.worker.going.clear()
        waiting = [asyncio.create_task(gateway.infer()) for _ in range(4)]  # both partitions
        async with asyncio.timeout(60):
            while (
                refused := await gateway.infer(hotswap_deadline_ms=str(int(time.time() * 1_000) + 200))
            ).status_code != 503:
                await asyncio.sleep(0.05)
        assert list(refused.json()) == ["error"]
        assert "more than 0.3 s is too much" in refused.json()["error"]
        assert int(refused.headers["Retry-After"]) >= 1
        elsewhere = await gateway.http.post("/api/predict", json={"data": INPUT["data"]})
        assert (elsewhere.status_code, elsewhere.json()["code"]) == (503, "overloaded")
        assert elsewhere.headers["content-type"] == "application/problem+json"
        gateway.worker.going.set()
        assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 4
        async with asyncio.timeout(60):
            while (await gateway.infer()).status_code != 200:
                await asyncio.sleep(0.05)


async def test_a_model_without_a_live_worker_is_refused(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotswap_stream.application.inference.admission.WORKER_ABSENT_SECONDS_MAX", 0.2)
    async with open_gateway(kafka, tmp_path, api_infer_timeout_ms=9_000) as gateway:
        first = await gateway.infer()
        assert first.status_code == 200, first.text
        assert (await gateway.http.get(f"/v2/models/{MODEL}/ready")).status_code == 200
        fleet = (await gateway.http.get(f"/api/models/{MODEL}/fleet")).json()
        assert (fleet["live_workers"], fleet["workers"][0]["worker"]) == (1, "by-hand")
        await gateway.worker.say_goodbye()
        async with asyncio.timeout(60):
            while (refused := await gateway.infer()).status_code == 200:
                await asyncio.sleep(0.05)
        assert refused.status_code == 503
        assert "no worker has served model 'tiny'" in refused.json()["error"]
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await gateway.http.get(f"/v2/models/{MODEL}/ready")).status_code == 503
        fleet = (await gateway.http.get(f"/api/models/{MODEL}/fleet")).json()
        assert (fleet["live_workers"], fleet["whole_fleet_serves_active"]) == (0, False)
        await gateway.worker.say_alive()
        async with asyncio.timeout(60):
            while (await gateway.infer()).status_code != 200:
                await asyncio.sleep(0.05)


async def test_one_key_cannot_take_all_places(kafka: str, tmp_path: Path) -> None:
    changes = {"api_keys": "alice:key-of-alice,ci:key-of-ci", "api_infer_in_flight_per_key_max": 2}
    async with open_gateway(kafka, tmp_path, **changes) as gateway:
        gateway.worker.going.clear()
        alices = [asyncio.create_task(gateway.infer(x_api_key="key-of-alice")) for _ in range(5)]
        done, waiting = await asyncio.wait(alices, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 3:
            more, waiting = await asyncio.wait(waiting, timeout=60, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        for task in done:
            refused = task.result()
            assert (refused.status_code, list(refused.json())) == (429, ["error"])
            assert int(refused.headers["Retry-After"]) >= 1
        others = [asyncio.create_task(gateway.infer(x_api_key="key-of-ci")), asyncio.create_task(gateway.infer())]
        gateway.worker.going.set()
        assert [answer.status_code for answer in await asyncio.gather(*waiting, *others)] == [200] * 4


async def test_a_real_worker_that_stopped_is_gone_from_the_fleet(
    kafka: str, tmp_path: Path, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hotswap_stream.application.inference.admission.WORKER_ABSENT_SECONDS_MAX", 0.0)
    settings = msgspec.structs.replace(stage_settings(kafka, topic_prefix, tmp_path), api_port=0)
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        async with running_api(settings) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:

            async def status() -> int:
                return (await http.post(f"/v2/models/{MODEL}/infer", json={"inputs": [INPUT]})).status_code

            try:
                async with asyncio.timeout(60):
                    while await status() != 200:
                        await asyncio.sleep(0.05)
                    while not (await http.get(f"/api/models/{MODEL}/fleet")).json()["whole_fleet_serves_active"]:
                        await asyncio.sleep(0.05)
            finally:
                await worker.stop()
            async with asyncio.timeout(60):
                while await status() != 503:
                    await asyncio.sleep(0.05)
            assert (await http.get(f"/api/models/{MODEL}/fleet")).json()["workers"] == []
