"""What choosing an executor gains: eager torch beside the executor that loading chose, in one thread, without Kafka.

    python -m benchmarks.executors

The rates are rows per second of processor time of the computing thread, so other work on the machine changes little.
"""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from hotswap_events.registry.events import ArtifactFacts
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.torch.executors.config import ExecutorConfig, ExecutorSetting
from hotswap_stream.adapters.torch.executors.loaded_model import TorchLoadedModel
from hotswap_stream.adapters.torch.executors.loader import TorchModelLoader
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module

ROUNDS = 15
BATCH_ROWS = 128
GRAPH_SECONDS_MAX = 300
AIMS = {"cnn-28": 2.5, "ffnn-784-32-32-32-10": 1.0}


class Stage:
    """Loaders and one artifact per architecture, in a folder that goes away."""

    def __init__(self, folder: Path) -> None:
        self._graphs = folder / "graphs"
        self._store = open_artifact_store(ArtifactStoreConfig(url=str(folder / "store"), artifact_bytes_max=2**30))

    async def load(self, architecture: str, executor: ExecutorSetting, rows_max: int = BATCH_ROWS) -> TorchLoadedModel:
        """Return a version as a worker would hold it; with `auto`, after what loading began in the background."""
        facts = await self._put(architecture)
        loader = TorchModelLoader(self._store, config=self._config(executor, rows_max))
        try:
            model = await loader.load(facts.digest)
            await asyncio.to_thread(loader.wait_improved, GRAPH_SECONDS_MAX)
            # Takes an executor that was offered meanwhile.
            model.infer(inputs_of(model, 1))
            return model
        finally:
            loader.close()

    async def load_with(self, architecture: str, options: VersionOptions) -> TorchLoadedModel:
        """Return a version with these options, as a worker would hold it."""
        loader = TorchModelLoader(self._store, config=self._config("auto"))
        try:
            return await loader.load((await self._put(architecture)).digest, options)
        finally:
            loader.close()

    async def _put(self, architecture: str) -> ArtifactFacts:
        torch.manual_seed(0)
        manifest = manifest_of(architecture, {})
        return await self._store.put_artifact(save_module(build_module(architecture, {}), manifest))

    def _config(self, executor: ExecutorSetting, rows_max: int = BATCH_ROWS) -> ExecutorConfig:
        return ExecutorConfig(executor=executor, graph_folder=self._graphs, batch_rows_max=rows_max)


def inputs_of(model: TorchLoadedModel, rows: int) -> dict[str, object]:
    """Return normally distributed inputs, the same each time."""
    spec = model.manifest.inputs[0]
    return {spec.name: np.random.default_rng(0).standard_normal((rows, *spec.shape[1:]), dtype=np.float32)}


def seconds_of(model: TorchLoadedModel, inputs: dict[str, object]) -> float:
    """Return the processor seconds of one inference."""
    began = time.thread_time()
    model.infer(inputs)
    return time.thread_time() - began


async def _measure(architecture: str, aim: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        eager, chosen = await stage.load(architecture, "eager"), await stage.load(architecture, "auto")
        inputs = inputs_of(eager, BATCH_ROWS)
        pairs = [(seconds_of(eager, inputs), seconds_of(chosen, inputs)) for _ in range(ROUNDS)]
    ratio = median(theirs / ours for theirs, ours in pairs)
    return {
        "name": f"executor of {architecture}",
        "ours": round(BATCH_ROWS / median(ours for _, ours in pairs)),
        "compared_with": f"torch eager, batches of {BATCH_ROWS}, one thread",
        "comparison": round(BATCH_ROWS / median(theirs for theirs, _ in pairs)),
        "unit": "rows/s",
        "ratio": round(ratio, 2),
        "aim": f">= {aim}",
        "holds": ratio >= aim,
        "executor": chosen.executor,
    }


def run() -> list[dict[str, object]]:
    """Return one result per architecture."""
    return [asyncio.run(_measure(architecture, aim)) for architecture, aim in AIMS.items()]


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
