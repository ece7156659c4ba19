"""What a registration needs to know of an artifact that is already in the store."""

import asyncio
import mmap
from pathlib import Path

from hotswap_events.commands import Refusal
from hotswap_events.registry import ArtifactFacts
from hotswap_stream.application.artifacts.file import ArtifactFormatError, InvalidDigestError, read_manifest
from hotswap_stream.application.artifacts.store import ArtifactNotFoundError, ArtifactStore


async def stored_artifact_facts(store: ArtifactStore, digest: str) -> ArtifactFacts | Refusal:
    """Return digest and size of a stored artifact, checked against its bytes; a refusal if there is no such artifact.

    Raises:
        ArtifactFormatError: What is stored under this digest is no artifact; somebody else put it there.
        HotswapError: The store's: a damaged artifact (DigestMismatchError), one that is too large, a store that does
            not answer.
    """
    try:
        path = await store.local_path(digest)
        if path is not None:
            return ArtifactFacts(digest=digest, size_bytes=await asyncio.to_thread(_checked_size, path))
        artifact = await store.fetch(digest)
    except InvalidDigestError as error:
        return Refusal(code="invalid-value", reason=str(error))
    except ArtifactNotFoundError as error:
        return Refusal(
            code="invalid-value",
            reason=f"{error}; put it there first",
            legal=("hotswap-stream register FILE",),
        )
    return ArtifactFacts(digest=artifact.digest, size_bytes=artifact.size_bytes)


def _checked_size(path: Path) -> int:
    """Return how many bytes an artifact file has. ArtifactFormatError if it is none."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        if not size_bytes:
            raise ArtifactFormatError("not an artifact: it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            read_manifest(view)
    return size_bytes
