"""The store as an environment uses it: it marks as needed what it puts in, or is about to name."""

from pathlib import Path

from hotswap_events.registry.events import ArtifactFacts
from hotswap_stream.adapters.artifacts.store import ObstoreArtifactStore
from hotswap_stream.application.artifacts.file import pack_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.references import ArtifactReferences
from hotswap_stream.application.artifacts.store import LoadedArtifact


class SharedArtifactStore:
    """`ArtifactStore` of one environment; `references` are its marks."""

    def __init__(self, contents: ObstoreArtifactStore, references: ArtifactReferences) -> None:
        self._contents = contents
        self.references = references

    async def put(self, manifest: ArtifactManifest, weights: bytes) -> ArtifactFacts:
        """See ArtifactStore."""
        return await self.put_artifact(pack_artifact(manifest, weights))

    async def put_artifact(self, content: bytes) -> ArtifactFacts:
        """See ArtifactStore."""
        facts = await self._contents.describe(content)
        await self.references.refer(facts.digest)
        return await self._contents.put_artifact(content)

    async def put_file(self, path: Path) -> ArtifactFacts:
        """See ArtifactStore."""
        facts = await self._contents.describe_file(path)
        await self.references.refer(facts.digest)
        return await self._contents.put_file(path)

    async def fetch(self, digest: str) -> LoadedArtifact:
        """See ArtifactStore."""
        return await self._contents.fetch(digest)

    async def local_path(self, digest: str) -> Path | None:
        """See ArtifactStore."""
        return await self._contents.local_path(digest)

    async def unchecked_path(self, digest: str) -> Path | None:
        """See ArtifactStore."""
        return await self._contents.unchecked_path(digest)

    async def exists(self, digest: str) -> bool:
        """See ArtifactStore."""
        return await self._contents.exists(digest)

    async def list(self) -> tuple[ArtifactFacts, ...]:
        """See ArtifactStore."""
        return await self._contents.list()
