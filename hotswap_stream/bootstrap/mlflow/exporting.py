"""Versions as MLflow model directories, for clients that download them and for people; runs told to its tracking."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.mlflow.export import ModelExport
from hotswap_stream.application.mlflow.exports import Exports
from hotswap_stream.application.mlflow.tracking import TrackedRun
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings


def model_export(store: ArtifactStore) -> ModelExport:
    """Return what writes a version as a directory that `mlflow.pyfunc.load_model` reads."""
    from hotswap_stream.adapters.mlflow.model_directory import ModelDirectories

    return ModelDirectories(store)


@asynccontextmanager
async def open_exports(store: ArtifactStore) -> AsyncIterator[Exports]:
    """Keep the directories that are downloaded, in a folder that is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="hotswap-exports-") as folder:
        yield Exports(model_export(store), Path(folder))


async def export_run(settings: Settings, run: TrackedRun, experiment: str) -> tuple[str, bool]:
    """Tell the MLflow server of the settings of a training run; return its id there, and whether it was there already.

    Raises:
        ConfigurationError: No server is named, or its URI is none.
        HotswapError: The server refuses, or does not answer.
    """
    from hotswap_stream.adapters.mlflow.tracked_runs import TrackedRuns

    if settings.mlflow_tracking_uri is None:
        raise ConfigurationError("no MLflow server is named: set HOTSWAP_MLFLOW_TRACKING_URI, or give --tracking-uri")
    async with TrackedRuns(settings.mlflow_tracking_uri, settings.mlflow_tracking_token) as server:
        return await server.tell(run, experiment)
