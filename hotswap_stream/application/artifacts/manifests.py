"""Manifests of artifacts, kept once read: what a model takes and gives."""

import asyncio

from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore

MANIFESTS_KEPT_MAX = 256


class ActiveManifests:
    """A manifest stands inside its artifact, so the first question after each reads and checks all of it."""

    def __init__(self, artifacts: ArtifactStore, *, kept_max: int = MANIFESTS_KEPT_MAX) -> None:
        self._artifacts = artifacts
        self._kept_max = kept_max
        self._kept: dict[str, ArtifactManifest] = {}
        self._reading = asyncio.Lock()

    async def of(self, digest: str) -> ArtifactManifest:
        """Return the manifest of the artifact with this digest. Errors as of ArtifactStore.fetch."""
        manifest = self._kept.get(digest)
        if manifest is not None:
            return manifest
        async with self._reading:  # one at a time: artifacts are large
            if digest not in self._kept:
                while len(self._kept) >= self._kept_max:
                    del self._kept[next(iter(self._kept))]
                self._kept[digest] = (await self._artifacts.fetch(digest)).manifest
            return self._kept[digest]
