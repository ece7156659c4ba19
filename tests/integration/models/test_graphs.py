"""An ONNX graph that a user brings: imported, registered, served by a real worker, swapped, beside torch's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings
from tests.support.stages.workers import running_worker


def linear_graph(path: Path, scale: float) -> Path:
    """Four features in, two numbers out: twice the sum of all, times `scale`."""
    weights = np.full((4, 2), scale, np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4, 2], weights.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save_model(model, str(path))
    return path


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        yield stage


async def imported(stage: Stage, path: Path) -> str:
    """Import a graph and register it; return its version."""
    content, passed = await bootstrap.imported_model(stage.settings, path, {}, ModelOptions())
    assert passed is not None
    return await stage.register(await stage.store.put_artifact(content))


async def asked(stage: Stage, values: list[float]) -> list[float]:
    settings = stage.settings
    async with TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client:
        answer = await client.infer(MODEL, {"x": np.array([values], np.float32)}, timeout_s=60)
    return [float(value) for value in answer.outputs["y"].ravel()]


async def test_graphs_are_served_and_swapped_beside_torch(stage: Stage, settings: Settings, tmp_path: Path) -> None:
    first = await imported(stage, linear_graph(tmp_path / "one.onnx", 1.0))
    second = await imported(stage, linear_graph(tmp_path / "two.onnx", 10.0))
    third = await stage.register_answering(7.0)
    await stage.switch(first)
    async with running_worker(settings):
        assert await asked(stage, [1, 2, 3, 4]) == [10.0, 10.0]
        for version, wanted in ((second, 100.0), (third, 7.0), (first, 10.0)):
            await stage.switch(version)
            while (await asked(stage, [1, 2, 3, 4])) != [wanted, wanted]:
                pass
