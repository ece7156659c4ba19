"""Several models in one worker, each with its own topics and loop: none holds the others up, new ones are taken in."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotswap_events.commands import RegisterVersion, SwitchVersion
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.file import digest_hex
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import Arrays, LoadedModel, ModelLoader
from hotswap_stream.client import InferenceRefusedError, TopicClient
from hotswap_stream.settings import Settings
from tests.support.stages.serving import Stage, artifact_answering, open_stage, stage_settings

SLOW_SECONDS = 1.0
ROW = np.ones((1, 4), dtype="<f4")


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


class _Slow:
    """A model that takes its time."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    @property
    def manifest(self) -> ArtifactManifest:
        return self._model.manifest

    @property
    def executor(self) -> str:
        return self._model.executor

    def padded_rows(self, rows: int) -> int:
        return self._model.padded_rows(rows)

    def infer(self, inputs: Arrays) -> Arrays:
        time.sleep(SLOW_SECONDS)
        return self._model.infer(inputs)

    def close(self) -> None:
        self._model.close()


class _SlowLoader:
    """Loads one artifact as a slow model, all others as they are."""

    def __init__(self, loader: ModelLoader, slow_digest: str) -> None:
        self._loader = loader
        self._slow_digest = slow_digest

    async def load(
        self, digest: str, options: VersionOptions = PLAIN, *, graph_digest: str | None = None
    ) -> LoadedModel:
        model = await self._loader.load(digest, options, graph_digest=graph_digest)
        return _Slow(model) if digest == self._slow_digest else model

    def close(self) -> None:
        self._loader.close()


async def _promote(stage: Stage, model_name: str, value: float, *, damaged: bool = False) -> ArtifactFacts:
    artifact = await stage.store.put_artifact(artifact_answering(value))
    if damaged:
        name = digest_hex(artifact.digest)
        path = stage.settings.home / "artifacts" / "sha256" / name[:2] / f"{name}.safetensors"
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    about: dict[str, Any] = {"actor": "test", "model_name": model_name}
    await stage.command(
        RegisterVersion(
            command_id=f"register-{model_name}",
            artifact=artifact,
            provenance=Provenance(origin="imported", created_by="test"),
            **about,
        )
    )
    await stage.command(SwitchVersion(command_id=f"switch-{model_name}", model_version="v1", **about))
    return artifact


@asynccontextmanager
async def _running(settings: Settings, slow: ArtifactFacts) -> AsyncIterator[None]:
    worker = await bootstrap.build_worker(settings, "w1")
    worker._loader = _SlowLoader(worker._loader, slow.digest)
    await worker.start()
    try:
        yield
    finally:
        await worker.stop()


async def test_a_slow_and_a_broken_model_hold_no_other_up(settings: Settings) -> None:
    async with open_stage(settings) as stage:
        await _promote(stage, "fast", 1.0)
        await _promote(stage, "broken", 2.0, damaged=True)
        slow = await _promote(stage, "slow", 3.0)
        client = TopicClient(str(settings.kafka_bootstrap_servers), prefix=settings.topic_prefix)
        async with _running(settings, slow), client:
            waiting = [asyncio.create_task(client.infer("slow", {"x": ROW})) for _ in range(3)]
            answers = []
            while not any(task.done() for task in waiting):
                answers.append(await client.infer("fast", {"x": ROW}))
            assert answers
            assert all(answer.outputs["y"].tolist() == [[1.0, 1.0]] for answer in answers)
            with pytest.raises(InferenceRefusedError, match="cannot be loaded"):
                await client.infer("broken", {"x": ROW})
            assert [(await task).outputs["y"][0, 0] for task in waiting] == [3.0] * 3

            await _promote(stage, "new", 4.0)
            new = await client.infer("new", {"x": ROW})
            assert new.outputs["y"].tolist() == [[4.0, 4.0]]
