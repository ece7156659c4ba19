"""Ports between the worker and what computes: a loader that turns an artifact into something that infers."""

from collections.abc import Mapping
from typing import Any, Protocol

from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream.application.artifacts.manifest import ArtifactManifest

Arrays = Mapping[str, Any]
"""Tensor name → numpy array (any array type both sides agree on); the first dimension is the batch."""


class LoadedModel(Protocol):
    """A loaded, verified, warmed-up version."""

    @property
    def manifest(self) -> ArtifactManifest:
        """Inputs and outputs it declares."""
        ...

    @property
    def executor(self) -> str:
        """The name of what computed this thread's latest `infer`, as "eager" or "onnxruntime".

        Read it after the call, in its thread. In a thread that never called `infer`: what would compute it now.
        """
        ...

    def padded_rows(self, rows: int) -> int:
        """Return the rows of the forward pass that computes `rows` rows, for the answer's facts.

        If one pass cannot hold them, it is the rows of each of several passes. Arrays of exactly the returned size are
        computed without a copy: allocate them so, with zeros after the last row.
        """
        ...

    def infer(self, inputs: Arrays) -> Arrays:
        """Compute a forward pass; it blocks, and any thread may call it. As many rows out as in.

        Calls wait for each other, so that a module's own code never runs twice at once: a version that is pinned and
        shadows at the same time is called by two threads. Any exception means this input failed, not the model.
        """
        ...

    def close(self) -> None:
        """Give the memory back, without blocking. Called once, when no inference is running."""
        ...


class ModelLoader(Protocol):
    """Fetch → verify digest → load → warm up, off the hot path."""

    async def load(
        self, digest: str, options: VersionOptions = PLAIN, *, graph_digest: str | None = None
    ) -> LoadedModel:
        """Load a version.

        Args:
            digest: The digest of its artifact, `sha256:<64 hex digits>`.
            options: How it is computed.
            graph_digest: The digest of its architecture's graph, if there is one: it serves where the architecture's
                code is not installed, unless the options name what computes the version.

        Raises:
            HotswapError: It cannot serve; `retriable` says whether trying again may help.
        """
        ...

    def close(self) -> None:
        """End what goes on in the background. Versions that serve go on."""
        ...
