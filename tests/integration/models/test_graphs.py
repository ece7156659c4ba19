"""An ONNX graph that a user brings: imported, registered, served by a real worker, swapped, beside torch's own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.samples.graphs import linear
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings
from tests.support.stages.workers import running_worker


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        yield stage


async def imported(stage: Stage, path: Path, scale: float) -> str:
    """Import a graph and register it; return its version."""
    await asyncio.to_thread(path.write_bytes, linear(scale))
    content, passed = await bootstrap.imported_model(stage.settings, path, {}, ModelOptions())
    assert passed is not None
    return await stage.register(await stage.store.put_artifact(content))


async def asked(stage: Stage, values: list[float]) -> list[float]:
    settings = stage.settings
    async with TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client:
        answer = await client.infer(MODEL, {"x": np.array([values], np.float32)}, timeout_s=60)
    return [float(value) for value in answer.outputs["y"].ravel()]


async def test_graphs_are_served_and_swapped_beside_torch(stage: Stage, settings: Settings, tmp_path: Path) -> None:
    first = await imported(stage, tmp_path / "one.onnx", 1.0)
    second = await imported(stage, tmp_path / "two.onnx", 10.0)
    third = await stage.register_answering(7.0)
    await stage.switch(first)
    async with running_worker(settings):
        assert await asked(stage, [1, 2, 3, 4]) == [10.0, 10.0]
        for version, wanted in ((second, 100.0), (third, 7.0), (first, 10.0)):
            await stage.switch(version)
            while (await asked(stage, [1, 2, 3, 4])) != [wanted, wanted]:
                pass
