"""A model that is uploaded to a real API process, registered by its digest, and answered by a real worker."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.client import AsyncRegistryClient
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.samples import graphs
from tests.support.stages.serving import stage_settings
from tests.support.stages.workers import running_worker

MODEL = "mine"
KEY = "key-of-ci"


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    chosen = stage_settings(kafka, topic_prefix, tmp_path)
    return replace(chosen, executor="eager", api_port=0, api_open=None, api_keys=f"ci:{KEY}")


async def test_a_graph_that_came_over_http_is_served(settings: Settings) -> None:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    api = asyncio.create_task(bootstrap.serve_api(settings, on_started=url.set_result, stop_on_signals=False))
    first: set[asyncio.Future[Any]] = {url, api}
    try:
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        async with AsyncRegistryClient(url.result(), KEY) as client, running_worker(settings):
            whole = await client.upload(graphs.linear(10.0), labels=["no", "yes"])
            weights = np.full((4, 2), 2, "<f4").tobytes()
            pieces = await client.upload(graphs.with_weights_beside("weights.bin"), beside={"weights.bin": weights})
            for kept, wanted in ((whole, 100.0), (pieces, 20.0)):
                version = (await client.register(MODEL, kept["artifact_digest"]))["model_version"]
                await client.switch(MODEL, version)
                await answered(settings, version, wanted)
    finally:
        api.cancel()
        await asyncio.wait({api})
    assert [path.name for path in (settings.home / "uploads").rglob("*") if path.is_file()] == ["lock"]


async def answered(settings: Settings, version: str, wanted: float) -> None:
    """Ask until this version answers, and see that it answers right."""
    async with TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client:
        while True:
            answer = await client.infer(MODEL, {"x": np.array([[1, 2, 3, 4]], np.float32)}, timeout_s=60)
            if answer.model_version == version:
                break
    assert [float(value) for value in answer.outputs["y"].ravel()] == [wanted, wanted]
