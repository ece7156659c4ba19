"""Graphs that others made and ship in packages are served as they are, and answer as the packages themselves do."""

import asyncio
import random
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import magika
import numpy as np
import pytest
import silero_vad
import torch
from magika import Magika
from msgspec.structs import replace
from silero_vad.utils_vad import OnnxWrapper

from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.client import BlockingTopicClient
from hotswap_stream.settings import Settings
from tests.support.checkout import ROOT
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings
from tests.support.stages.workers import running_worker

ASK_SECONDS_MAX = 60.0
FILES = 100
"""Files of this repository, and as many of the Python installation."""
FILE_BYTES_MAX = 1_000_000
WINDOWS = 40
GRAPH_OF_MAGIKA = Path(magika.__file__).parent / "models" / "standard_v3_3" / "model.onnx"
GRAPH_OF_SILERO = Path(silero_vad.__file__).parent / "data" / "silero_vad.onnx"


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        yield stage


async def put_into_production(stage: Stage, graph: Path) -> tuple[str, ...]:
    """Import a graph and switch to it; return what its trial warns of."""
    content, passed = await bootstrap.imported_model(stage.settings, graph, {}, ModelOptions())
    assert passed is not None
    await stage.switch(await stage.register(await stage.store.put_artifact(content)))
    return passed.warnings


def client_of(settings: Settings) -> BlockingTopicClient:
    return BlockingTopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix)


def chosen_files() -> list[Path]:
    chosen: list[Path] = []
    for place in (ROOT, Path(sys.base_prefix) / "lib"):
        found = sorted(
            path
            for path in place.rglob("*")
            if path.is_file() and ".git" not in path.parts and path.stat().st_size < FILE_BYTES_MAX
        )
        chosen += random.Random(0).sample(found, FILES)
    return chosen


async def test_magika_tells_the_same_of_files(stage: Stage, settings: Settings) -> None:
    assert "one by one" in " ".join(await put_into_production(stage, GRAPH_OF_MAGIKA))

    def compare() -> None:
        own, served = Magika(), Magika()
        sizes: Any = own._model_config
        asked = 0
        with client_of(settings) as client:

            def predicted(features: list[tuple[Path, Any]]) -> Any:
                nonlocal asked
                rows = [
                    [
                        *found.beg[: sizes.beg_size],
                        *found.mid[: sizes.mid_size],
                        *(found.end[-sizes.end_size :] if sizes.end_size else ()),
                    ]
                    for _path, found in features
                ]
                asked = len(rows)
                answer = client.infer(MODEL, {"bytes": np.array(rows, np.int32)}, timeout_s=ASK_SECONDS_MAX)
                return answer.outputs["target_label"]

            served._get_raw_predictions = predicted  # type: ignore[method-assign]
            files = chosen_files()
            wanted = [result.output.label for result in own.identify_paths(files)]
            assert [result.output.label for result in served.identify_paths(files)] == wanted
        assert asked > FILES
        assert len(set(wanted)) > 5

    async with running_worker(settings):
        await asyncio.to_thread(compare)


async def test_silero_hears_the_same_with_a_state_that_the_caller_carries(stage: Stage, settings: Settings) -> None:
    assert await put_into_production(stage, GRAPH_OF_SILERO)

    class Session:
        """As much of ONNX Runtime's as the package uses."""

        def __init__(self, client: BlockingTopicClient) -> None:
            self._client = client

        def run(self, _names: None, inputs: dict[str, Any]) -> list[Any]:
            outputs = self._client.infer(MODEL, inputs, timeout_s=ASK_SECONDS_MAX).outputs
            return [outputs["output"], outputs["stateN"]]

    def compare() -> None:
        own, served = OnnxWrapper(str(GRAPH_OF_SILERO)), OnnxWrapper(str(GRAPH_OF_SILERO))
        generator = torch.Generator().manual_seed(0)
        heard = []
        with client_of(settings) as client:
            served.session = Session(client)
            for rate, samples in ((16_000, 512), (8_000, 256)):
                for step in range(WINDOWS):
                    noise = torch.randn(1, samples, generator=generator) * (0.3 if step % 3 else 0.01)
                    window = noise + 0.2 * torch.sin(torch.arange(samples) / 7.0 * (1 + step % 5))
                    wanted = own(window, rate)
                    assert torch.allclose(served(window, rate), wanted, atol=1e-6)
                    heard.append(float(wanted))
        assert max(heard) > 2 * min(heard)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own, of sampling rates
        async with running_worker(settings):
            await asyncio.to_thread(compare)
