"""What became of an uploaded model: an artifact in the store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hotswap_stream.application.artifacts.manifest import Kind, TensorSpec
from hotswap_stream.application.artifacts.trial import ModelOptions, TrialFacts


class ImportedArtifact(Struct, frozen=True, kw_only=True):
    """It is in the store, to be registered by its digest."""

    artifact_digest: str
    size_bytes: int
    kind: Kind
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    trial: TrialFacts | None
    """None for a kind that needs none."""
    warnings: tuple[str, ...] = ()


class ModelImport(Protocol):
    """Makes an artifact of files, tries it, and puts it into the store."""

    async def __call__(self, file: Path, beside: Mapping[str, Path], options: ModelOptions) -> ImportedArtifact:
        """Import a model.

        Args:
            file: An artifact, or a graph.
            beside: Files with weights of the graph, by the names that the graph has for them.
            options: What the graph cannot say.

        Raises:
            ArtifactFormatError: It is neither, or something does not go with it.
            ArtifactTooLargeError: All together have too many bytes.
            TrialFailedError: It cannot be served.
            HotswapError: Those of the artifact store.
        """
