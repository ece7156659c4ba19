"""What a registration needs to know of an artifact that is already in the store."""

from hotswap_events.commands import Refusal
from hotswap_events.registry import ArtifactFacts
from hotswap_stream.application.artifacts.file import InvalidDigestError
from hotswap_stream.application.artifacts.store import ArtifactNotFoundError, ArtifactStore


async def stored_artifact_facts(store: ArtifactStore, digest: str) -> ArtifactFacts | Refusal:
    """Return digest and size of a stored artifact, checked against its bytes; a refusal if there is no such artifact.

    Raises:
        HotswapError: The store's: a damaged artifact (DigestMismatchError), one that is too large, a store that does
            not answer.
    """
    try:
        path = await store.local_path(digest)
        if path is not None:
            return ArtifactFacts(digest=digest, size_bytes=path.stat().st_size)
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
