"""Loaded torch modules behind the worker's ports."""

import asyncio
import mmap
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import nn

from hotswap_stream.adapters.torch.loading import load_module, named_outputs
from hotswap_stream.application.artifact_file import read_manifest
from hotswap_stream.application.artifact_manifest import ArtifactManifest
from hotswap_stream.application.artifact_store import ArtifactStore
from hotswap_stream.application.serving import Arrays, ServingModel


class TorchServingModel:
    """A module in eval mode. `infer` may run in any thread, one call at a time."""

    def __init__(self, manifest: ArtifactManifest, module: nn.Module) -> None:
        self._manifest = manifest
        self._module: nn.Module | None = module

    @property
    def manifest(self) -> ArtifactManifest:
        """Inputs and outputs it declares."""
        return self._manifest

    def infer(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Forward pass over arrays of shape [rows, …] in the manifest's order of inputs."""
        if self._module is None:
            raise RuntimeError("the model was closed")
        with torch.inference_mode():
            # Requests arrive as read-only views of the record's bytes; torch wants memory it could write to.
            tensors = [torch.tensor(inputs[spec.name]) for spec in self._manifest.inputs]
            outputs = named_outputs(self._module(*tensors), self._manifest)
        return {spec.name: tensor.numpy() for spec, tensor in zip(self._manifest.outputs, outputs, strict=True)}

    def close(self) -> None:
        """Drop the module and with it its weights."""
        self._module = None


class TorchModelLoader:
    """`ModelLoader` from an artifact store. Everything that takes time runs in a thread."""

    def __init__(self, store: ArtifactStore, *, torch_threads: int) -> None:
        self._store = store
        torch.set_num_threads(torch_threads)

    async def load(self, digest: str) -> ServingModel:
        """Fetch, verify, build, warm up. The errors of `ArtifactStore.fetch` and of `load_module`."""
        path = await self._store.local_path(digest)
        if path is not None:
            return await asyncio.to_thread(_load_file, path)
        artifact = await self._store.fetch(digest)
        module = await asyncio.to_thread(load_module, artifact.manifest, artifact.content)
        return TorchServingModel(artifact.manifest, module)


def _load_file(path: Path) -> ServingModel:
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as content,
    ):
        manifest = read_manifest(content)
    return TorchServingModel(manifest, load_module(manifest, path))
