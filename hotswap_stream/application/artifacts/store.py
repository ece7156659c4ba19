"""The port to where artifacts are kept, by content: an artifact's name is the digest of its bytes."""

from pathlib import Path
from typing import Protocol

from msgspec import Struct

from hotswap_events.registry.events import ArtifactFacts
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.references import ArtifactReferences
from hotswap_stream.errors import HotswapError


class ArtifactNotFoundError(HotswapError):
    """No artifact with this digest is in the store."""


class ArtifactTooLargeError(HotswapError):
    """The artifact has more bytes than `artifact_bytes_max` allows."""


class DigestMismatchError(HotswapError):
    """The bytes in the store are not those the digest names. They must not be used."""

    def __init__(self, *, expected: str, found: str, where: str) -> None:
        super().__init__(
            f"artifact at {where} is damaged: expected {expected}, found {found}; put it again to repair it"
        )
        self.expected = expected
        self.found = found


class ArtifactStoreRefusedError(HotswapError):
    """The store says no: wrong credentials, a missing bucket, or a folder without permission."""


class ArtifactStoreUnavailableError(HotswapError):
    """The store did not answer within its retries."""

    retriable = True


class LoadedArtifact(Struct, frozen=True, kw_only=True):
    """An artifact whose digest was checked. `content` is the whole safetensors file."""

    digest: str
    size_bytes: int
    manifest: ArtifactManifest
    content: bytes


class ArtifactStore(Protocol):
    """Puts and fetches artifacts. Digests are strings `sha256:<64 hex digits>`; InvalidDigestError for others.

    What is put is marked as needed by the environment whose store this is; `references` are its marks, and the only way
    to delete. Every call may raise ArtifactStoreUnavailableError (retriable) or ArtifactStoreRefusedError.
    """

    @property
    def references(self) -> ArtifactReferences:
        """Who needs which artifact."""

    async def put(self, manifest: ArtifactManifest, weights: bytes) -> ArtifactFacts:
        """Pack a manifest and a safetensors file into one artifact and keep it. Errors as of `put_artifact`."""

    async def put_artifact(self, content: bytes) -> ArtifactFacts:
        """Keep an artifact file as it is. The same content again changes nothing, except that damage is repaired.

        Raises:
            ArtifactFormatError: It is no artifact.
            ArtifactTooLargeError: It has too many bytes.
        """

    async def put_file(self, path: Path) -> ArtifactFacts:
        """Keep an artifact that is a file, without holding it in memory. Errors as of `put_artifact`."""

    async def fetch(self, digest: str) -> LoadedArtifact:
        """Read an artifact and check it.

        Raises:
            ArtifactNotFoundError: The store has none under this digest.
            ArtifactTooLargeError: It has too many bytes.
            DigestMismatchError: Its bytes are not those the digest names.
        """

    async def local_path(self, digest: str) -> Path | None:
        """Check an artifact where it lies and answer its path, to be mapped; None if the store is not a folder.

        The same errors as `fetch`. Only a path just answered is a checked one.
        """

    async def unchecked_path(self, digest: str) -> Path | None:
        """Return where an artifact lies, for a reader that hashes what it reads; None if the store is not a folder.

        Raises:
            ArtifactNotFoundError: The store has none under this digest.
            ArtifactTooLargeError: It has too many bytes.
        """

    async def exists(self, digest: str) -> bool:
        """Return whether the store has an artifact under this digest. Does not look inside."""

    async def list(self) -> tuple[ArtifactFacts, ...]:
        """Return all artifacts, ordered by digest and without signatures. Other files in the store are passed over."""
