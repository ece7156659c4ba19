"""What a registration needs to know of an artifact that is already in the store."""

import asyncio
import os
from pathlib import Path

from hotswap_events.commands import Refusal
from hotswap_events.registry import ArtifactFacts
from hotswap_stream.application.artifacts.file import HEADER_BYTES_MAX, InvalidDigestError, read_manifest
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
    """Return how many bytes an artifact file has.

    Raises:
        ArtifactFormatError: It is none.
        ArtifactNotFoundError: It was deleted meanwhile.
    """
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            # Not mapped: somebody who cuts the file off meanwhile would end the process.
            read_manifest(file.read(HEADER_BYTES_MAX + 8), size_bytes)
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(f"{path} was deleted while it was looked at") from error
    return size_bytes
