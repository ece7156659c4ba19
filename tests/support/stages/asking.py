"""A worker and the API that answer, for whoever asks."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np

from hotswap_events.commands import RegisterVersion
from hotswap_events.registry.events import Provenance
from hotswap_stream import bootstrap
from hotswap_stream.client import (
    TopicClient,
)
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings

UNSERVED = "unserved"
"""A model with topics and a version, but none in production."""
ROWS = np.arange(12, dtype="<f4").reshape(3, 4)
INPUT = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}


class Served:
    """v1 (answers 1) is active, v2 (answers 2) is registered, a worker and the API run."""

    def __init__(self, stage: Stage, url: str, http: httpx.AsyncClient) -> None:
        self.stage = stage
        self.kafka = str(stage.settings.kafka_bootstrap_servers)
        self.prefix = stage.settings.topic_prefix
        self.url = url
        self.http = http

    def topic_client(self, **options: Any) -> TopicClient:
        return TopicClient(self.kafka, prefix=self.prefix, **options)

    async def infer(self, **changes: Any) -> httpx.Response:
        """POST to the model, with these changes to a right JSON request's tensor."""
        return await self.http.post(f"/v2/models/{MODEL}/infer", json={"id": "r", "inputs": [INPUT | changes]})


@asynccontextmanager
async def running_api(settings: Settings) -> AsyncIterator[str]:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(bootstrap.serve_api(settings, on_started=url.set_result, stop_on_signals=False))
    try:
        first: set[asyncio.Future[Any]] = {url, serving}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield url.result()
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


@asynccontextmanager
async def open_served(kafka: str, home: Path, **changes: Any) -> AsyncIterator[Served]:
    """One worker and one API, for all tests of a module; `changes` are to the settings."""
    settings = msgspec.structs.replace(
        stage_settings(kafka, f"asking-{uuid.uuid4().hex[:12]}", home),
        api_port=0,
        api_infer_bytes_max=100_000,
        api_infer_timeout_ms=20_000,
        **changes,
    )
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(2.0)
        await stage.switch("v1")
        artifact = stage.registry.state(MODEL).versions["v1"].artifact
        await stage.command(
            RegisterVersion(
                command_id="unserved",
                actor="test",
                model_name=UNSERVED,
                artifact=artifact,
                provenance=Provenance(origin="imported", created_by="test"),
            )
        )
        worker = await bootstrap.build_worker(settings, "w1", frozenset({MODEL}))
        await worker.start()
        try:
            async with running_api(settings) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:
                yield Served(stage, url, http)
        finally:
            await worker.stop()
