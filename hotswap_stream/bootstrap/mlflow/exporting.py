"""Versions as MLflow model directories, for clients that download them and for people."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.mlflow.export import ModelExport
from hotswap_stream.application.mlflow.exports import Exports


def model_export(store: ArtifactStore) -> ModelExport:
    """Return what writes a version as a directory that `mlflow.pyfunc.load_model` reads."""
    from hotswap_stream.adapters.mlflow.model_directory import ModelDirectories

    return ModelDirectories(store)


@asynccontextmanager
async def open_exports(store: ArtifactStore) -> AsyncIterator[Exports]:
    """Keep the directories that are downloaded, in a folder that is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="hotswap-exports-") as folder:
        yield Exports(model_export(store), Path(folder))
