"""What workers and agents serve to Prometheus and to probes, on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from hotswap_stream.bootstrap import shown_over_http
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.observability import server as limits
from hotswap_stream.observability.metric_spec import Family
from hotswap_stream.observability.process_families import process_families
from hotswap_stream.observability.server import MetricsServer
from hotswap_stream.settings import Settings

Said = dict[str, str | None]


def families() -> list[Family]:
    return list(process_families(release="1.2", process="worker", process_name='w"1', ready=True))


@asynccontextmanager
async def serving(said: Said, made: Callable[[], list[Family]] = families) -> AsyncIterator[int]:
    server = MetricsServer(families=made, live=lambda: said.get("live"), ready=lambda: said.get("ready"))
    port = await server.start("127.0.0.1", 0)
    try:
        yield port
    finally:
        await server.stop()


async def test_metrics_and_probes_are_answered_as_things_are() -> None:
    said: Said = {"ready": "requests wait in partitions 3"}
    async with serving(said) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        shown = await client.get("/metrics?x=1")
        assert shown.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = {family.name: family.samples for family in text_string_to_metric_families(shown.text)}
        assert found["hotswap_build_info"][0].labels["process_name"] == 'w"1'
        assert found["process_resident_memory_bytes"][0].value > 1_000_000
        assert (await client.get("/livez")).text == "live\n"
        unready = await client.get("/readyz")
        assert (unready.status_code, unready.text) == (503, "requests wait in partitions 3\n")
        said["ready"] = None
        assert (await client.get("/readyz")).status_code == 200
        head = await client.head("/metrics")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 0
        posted = await client.post("/metrics", content=b"x")
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
        assert (await client.get("/")).status_code == 404


async def test_figures_that_cannot_be_made_are_a_500_and_the_server_goes_on() -> None:
    def broken() -> list[Family]:
        raise ValueError("no")

    async with (
        serving({}, broken) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        assert (await client.get("/metrics")).status_code == 500
        assert (await client.get("/livez")).status_code == 200


async def test_who_sends_too_much_or_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REQUEST_SECONDS_MAX", 0.2)
    async with serving({}) as port:
        for sent in (b"GET /" + b"x" * 2 * limits.HEAD_BYTES_MAX, b"GET /livez HTTP/1.1\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            async with asyncio.timeout(60):
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
            writer.close()


async def test_a_port_is_left_for_prometheus_and_taken_back(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, metrics_port=0)
    file = tmp_path / "metrics" / "worker-a_b.json"
    shown = {"families": families, "live": lambda: None, "ready": lambda: None}
    async with shown_over_http(settings, "worker", "a/b", **shown) as server:  # type: ignore[arg-type]
        assert server is not None
        (target,) = json.loads(file.read_text())
        assert target["labels"] == {"job": "hotswap-worker", "instance": "a/b"}
        (address,) = target["targets"]
        async with httpx.AsyncClient(timeout=60) as client:
            assert (await client.get(f"http://{address}/readyz")).text == "ready\n"
        port = int(address.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match="HOTSWAP_METRICS_PORT"):
            async with shown_over_http(replace(settings, metrics_port=port), "agents", "1", **shown):  # type: ignore[arg-type]
                pass
    assert not file.exists()
    async with shown_over_http(replace(settings, metrics_port=None), "worker", "c", **shown) as server:  # type: ignore[arg-type]
        assert server is None
