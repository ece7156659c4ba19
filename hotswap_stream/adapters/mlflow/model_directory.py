"""A version as an MLflow model directory: the graph as it is, and what MLflow needs to be told of it."""

import asyncio
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from hotswap_events.registry.state import RegistryVersion
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.application.artifacts.bundle import files_of
from hotswap_stream.application.artifacts.file import read_manifest
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.mlflow.export import NotExportableError
from hotswap_stream.application.mlflow.importing.mlmodel import MLMODEL

_OURS = frozenset({MLMODEL, "requirements.txt"})


class ModelDirectories:
    """See ModelExport."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    async def export(self, model_name: str, version: RegistryVersion, folder: Path) -> None:
        """See ModelExport."""
        content = (await self._store.fetch(version.artifact.digest)).content
        await asyncio.to_thread(_write, content, model_name, version, folder)


def _write(content: bytes, model_name: str, version: RegistryVersion, folder: Path) -> None:
    manifest = read_manifest(content)
    if manifest.kind != "onnx":
        raise NotExportableError(
            f"{model_name} {version.model_version} is of kind {manifest.kind!r}, and MLflow has a flavor for graphs "
            "alone: export the model to ONNX where it was trained, and publish the graph as a version"
        )
    files = files_of(content)
    if taken := _OURS & set(files):
        raise NotExportableError(f"a file beside the graph is named {min(taken)!r}, which MLflow keeps for itself")
    for name, held in files.items():
        # Names of files in a bundle are plain relative ones; `files_of` has seen to that.
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(held)
    (folder / "requirements.txt").write_text("mlflow\nonnx\nonnxruntime\n", encoding="utf-8")
    # JSON is YAML, too.
    (folder / MLMODEL).write_bytes(
        msgspec.json.format(msgspec.json.encode(_said(model_name, version, manifest.labels)))
    )


def _said(model_name: str, version: RegistryVersion, labels: tuple[str, ...]) -> Mapping[str, Any]:
    return {
        "flavors": {
            "onnx": {
                "code": None,
                "data": GRAPH_FILE,
                "onnx_session_options": None,
                "onnx_version": None,
                "providers": ["CPUExecutionProvider"],
            },
            "python_function": {
                "data": GRAPH_FILE,
                "loader_module": "mlflow.onnx",
                "python_version": platform.python_version(),
            },
        },
        "metadata": {
            "hotswap": {
                "model_name": model_name,
                "model_version": version.model_version,
                "artifact_digest": version.artifact.digest,
                "labels": list(labels),
            }
        },
    }
