"""A worker without torch serves graphs, those of architectures too, and says of other architectures what it lacks."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from hotswap_events.inference.fleet import FleetPlugin, FleetRecord
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.audit.reproduce import reproduce
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from tests.support.processes.commands import environment_with, running
from tests.support.samples.graphs import linear
from tests.support.stages.serving import MODEL, Stage, artifact_answering, open_stage, stage_settings

BF16 = VersionOptions(precision="bf16")

# Python imports this in each process before all else, so in the children of the worker, too.
HIDING = """
import sys
from importlib.machinery import PathFinder

HIDDEN = {"torch", "safetensors", "onnxscript", "openvino", "sklearn", "faust", "litestar"}

class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] in HIDDEN:
            return None
        return PathFinder.find_spec(fullname, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), graphs_exported=True)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        yield stage


@pytest.fixture
def environment(settings: Settings, tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "hiding"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDING)
    found = environment_with(
        {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
            "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
            "HOTSWAP_HOME": str(settings.home),
            "HOTSWAP_CACHE": str(tmp_path / "cache"),
        }
    )
    return {**found, "PYTHONPATH": os.pathsep.join((str(folder), found["PYTHONPATH"]))}


async def told(stage: Stage, version: str) -> FleetRecord:
    """The first record of the fleet topic that has this version as failed."""
    count = 0
    while True:
        count += 1
        for record in await stage.records(stage.topics.fleet, 0, count):
            found = msgspec.json.decode(record.value or b"null", type=FleetRecord | None)
            if found is not None and version in found.versions and found.versions[version].state == "failed":
                return found


@pytest.mark.executed
async def test_graphs_are_served_and_architectures_without_one_are_told_to_be_missing(
    stage: Stage, settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(linear(2.0))
    content, _ = await bootstrap.imported_model(settings, file, {}, ModelOptions())
    graph = await stage.register(await stage.store.put_artifact(content))
    architecture = await stage.register_answering(7.0)
    # Registered where torch is: its graph is exported, and what the worker below needs is in the store.
    stored = await bootstrap.stored_model(settings, stage.store, artifact_answering(9.0), None)
    assert stored.graph is not None
    exported = await stage.register(stored.artifact, graph=stored.graph)
    lower = await stage.register(stage.registry.state(MODEL).versions[graph].artifact, options=BF16)
    await stage.switch(graph)
    inputs: dict[str, Any] = {"x": np.array([[1, 2, 3, 4]], np.float32)}
    with running(environment, "worker", "--name", "w1") as process:
        async with TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client:
            assert (await client.infer(MODEL, inputs, timeout_s=90)).outputs["y"].tolist() == [[20.0, 20.0]]
            if sys.platform == "linux":
                maps = await asyncio.to_thread(Path(f"/proc/{process.pid}/maps").read_text)
                assert "libtorch" not in maps
            await stage.switch(exported)
            while (answer := await client.infer(MODEL, inputs, timeout_s=90)).model_version != exported:
                pass
            assert answer.outputs["y"].tolist() == [[9.0, 9.0]]
            await stage.switch(graph)
            await stage.switch(architecture)
            record = await told(stage, architecture)
            while stage.registry.state(MODEL).active_version != graph:
                await asyncio.sleep(0.05)
            # The same graph with an option that needs more than is there.
            await stage.switch(lower)
            lacking = (await told(stage, lower)).versions[lower].missing
            while stage.registry.state(MODEL).active_version != graph:
                await asyncio.sleep(0.05)
            assert (await client.infer(MODEL, inputs, timeout_s=90)).outputs["y"].tolist() == [[20.0, 20.0]]
    recorded = await bootstrap.recorded_answer(settings, MODEL, partition=answer.partition, offset=answer.offset)
    assert recorded.response.parameters.executor == "exported-graph"
    # Where torch is, the same graph computes it again, bit for bit.
    loader = bootstrap.exact_loader(settings)
    found = await reproduce(
        loader,
        artifact_digest=stored.artifact.digest,
        executor="exported-graph",
        padded_batch_size=recorded.response.parameters.padded_batch_size or 0,
        inputs=inputs,
        answered=answer.outputs,
        graph_digest=stored.graph.digest,
    )
    loader.close()
    assert found.equal
    assert record.kinds == ("onnx", "runtime")
    assert lacking == FleetPlugin(kind="executor", name="openvino", package="openvino")
    assert record.versions[architecture].missing == FleetPlugin(kind="architecture", name="linear", package="torch")
    assert "need torch, which is not installed here" in (record.versions[architecture].error or "")
