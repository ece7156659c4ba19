"""What a registration needs to know of an artifact that is already in the store."""

import asyncio
import os
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.registry.events import ArtifactFacts, ArtifactTrial
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.application.artifacts.exporting import GraphOfArtifact, no_graph
from hotswap_stream.application.artifacts.file import HEADER_BYTES_MAX, InvalidDigestError, read_manifest
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, Kind
from hotswap_stream.application.artifacts.store import ArtifactNotFoundError, ArtifactStore
from hotswap_stream.domain.versions.options import wrong_options_for

NO_VERSIONS: dict[Kind, str] = {
    "dataset": "a validation set",
    "exported": "the graph of an architecture, without weights",
    "files": "the files of a training run",
}
"""Kinds of artifacts that compute nothing by themselves."""


class TrialOfArtifact(Protocol):
    """Tries a stored artifact on this machine, once."""

    async def __call__(
        self, digest: str, manifest: ArtifactManifest, options: VersionOptions | None = None
    ) -> ArtifactTrial | None:
        """Return what its trial with these options measured, now or before; None for a kind that needs none.

        Raises:
            TrialFailedError: It cannot be served.
        """


class Registrable(Struct, frozen=True):
    """A stored artifact that may be registered, what its trial measured, and the graph of its architecture."""

    artifact: ArtifactFacts
    trial: ArtifactTrial | None
    graph: ArtifactFacts | None = None


async def registrable_artifact(
    store: ArtifactStore,
    tried: TrialOfArtifact,
    digest: str,
    options: VersionOptions | None = None,
    exported: GraphOfArtifact = no_graph,
) -> Registrable | Refusal:
    """Return what a registration says of a stored artifact, checked against its bytes; a refusal if there is none.

    Args:
        store: Where it is.
        tried: Tries it, if its kind needs a trial.
        digest: Its digest.
        options: How the version is to be computed; a refusal if its kind cannot be computed so.
        exported: Makes the graph of its architecture, if it has one.

    Raises:
        TrialFailedError: It cannot be served.
        ArtifactFormatError: What is stored under this digest is no artifact; somebody else put it there.
        HotswapError: The store's: a damaged artifact (DigestMismatchError), one that is too large, a store that does
            not answer.
    """
    try:
        path = await store.local_path(digest)
        if path is not None:
            size_bytes, manifest = await asyncio.to_thread(_checked, path)
        else:
            fetched = await store.fetch(digest)
            size_bytes, manifest = fetched.size_bytes, fetched.manifest
    except InvalidDigestError as error:
        return Refusal(code="invalid-value", reason=str(error))
    except ArtifactNotFoundError as error:
        return Refusal(
            code="invalid-value",
            reason=f"{error}; put it there first",
            legal=("hotswap-stream register FILE",),
        )
    if (what := NO_VERSIONS.get(manifest.kind)) is not None:
        return Refusal(code="invalid-value", reason=f"{digest} is {what}; it cannot be a version")
    if wrong := wrong_options_for(manifest.kind, options):
        return Refusal(code="invalid-value", reason=wrong)
    facts = ArtifactFacts(digest=digest, size_bytes=size_bytes, signature=manifest.signature)
    return Registrable(facts, await tried(digest, manifest, options), await exported(digest, manifest))


def _checked(path: Path) -> tuple[int, ArtifactManifest]:
    """Return how many bytes an artifact file has, and its manifest.

    Raises:
        ArtifactFormatError: It is none.
        ArtifactNotFoundError: It was deleted meanwhile.
    """
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            # Not mapped: somebody who cuts the file off meanwhile would end the process.
            manifest = read_manifest(file.read(HEADER_BYTES_MAX + 8), size_bytes)
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(f"{path} was deleted while it was looked at") from error
    return size_bytes, manifest
