"""A version written as a directory that MLflow reads, and that comes in again as the same artifact."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from hotswap_events.registry.events import ArtifactFacts
from hotswap_events.registry.state import RegistryVersion
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.mlflow.model_directory import ModelDirectories
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.mlflow.export import NotExportableError
from hotswap_stream.bootstrap.mlflow.fetching import fetched_model
from hotswap_stream.bootstrap.trials import imported_model
from hotswap_stream.settings import load_settings
from tests.support.samples.artifacts import linear_artifact
from tests.support.samples.graphs import with_weights_beside

READ = """
import sys, warnings
warnings.simplefilter("ignore")
import mlflow, numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(np.ones((3, 4), np.float32))["y"].tolist())
"""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url=str(tmp_path / "store")))


def version_of(facts: ArtifactFacts) -> RegistryVersion:
    return RegistryVersion(
        model_version="v1",
        stage="none",
        artifact=facts,
        registered_sequence=1,
        registered_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.slow
async def test_mlflow_reads_what_is_exported_and_it_comes_in_again(tmp_path: Path, store: ArtifactStore) -> None:
    settings = load_settings({"HOTSWAP_HOME": str(tmp_path / "home"), "HOTSWAP_CACHE": str(tmp_path / "cache")})
    graph, weights, folder = tmp_path / "g.onnx", tmp_path / "weights.bin", tmp_path / "exported"
    graph.write_bytes(with_weights_beside("weights.bin"))
    weights.write_bytes(np.arange(8, dtype=np.float32).tobytes())
    content, _ = await imported_model(settings, graph, {"weights.bin": weights}, ModelOptions())
    facts = await store.put_artifact(content)
    folder.mkdir()
    await ModelDirectories(store).export("sums", version_of(facts), folder)

    answer = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", READ, str(folder)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    assert answer.stdout.strip().splitlines()[-1] == "[[12.0, 16.0], [12.0, 16.0], [12.0, 16.0]]"

    async with fetched_model(settings, str(folder), owner_named=True) as model:
        again, _ = await imported_model(settings, model.file, model.beside, model.options)
    assert again == content


async def test_what_is_no_graph_is_refused_in_words(tmp_path: Path, store: ArtifactStore) -> None:
    facts = await store.put_artifact(linear_artifact())
    with pytest.raises(NotExportableError, match="graphs alone"):
        await ModelDirectories(store).export("digits", version_of(facts), tmp_path)
