"""An architecture's graph, made when a version is registered: for workers where the architecture's code is missing."""

from typing import Protocol

from msgspec import Struct

from hotswap_events.registry.events import ArtifactFacts
from hotswap_stream.application.artifacts.manifest import ArtifactManifest


class GraphOfArtifact(Protocol):
    """Makes the graph of a stored artifact's architecture."""

    async def __call__(self, digest: str, manifest: ArtifactManifest) -> ArtifactFacts | None:
        """Return the graph, which is in the store then; None where there is none to be had, which stops nobody."""


async def no_graph(digest: str, manifest: ArtifactManifest) -> None:  # a GraphOfArtifact
    """Make none."""


class ExportOrder(Struct, frozen=True, kw_only=True):
    """What to export. Paths are the owner's."""

    artifact: str
    target: str
    """Where the graph's artifact goes."""
    graph_folder: str
    graph_ms_max: int
    batch_rows_max: int
    threads: int = 1


class GraphExported(Struct, frozen=True, kw_only=True, tag="exported"):
    """It computes what torch does, and lies in the target."""


class GraphRefused(Struct, frozen=True, kw_only=True, tag="refused"):
    """No graph can stand in for the architecture."""

    reason: str


ExportLine = GraphExported | GraphRefused
