"""A content-addressed store: `sha256/ab/<hex>.safetensors`, written once, checked on every read.

obstore is called through its blocking API in a thread. Its asyncio API hands results back from a thread of its own
runtime, and a process that ended soon after such a call was aborted (SIGABRT) in 1 of 8 runs here; in 150 runs with
the blocking API none was. Hashing belongs in a thread anyway.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import obstore
import structlog
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from hotswap_events.registry.events import ArtifactFacts
from hotswap_stream.adapters.artifacts.backend import Backend
from hotswap_stream.adapters.artifacts.marks import ObstoreMarks
from hotswap_stream.application.artifacts.file import (
    HEADER_BYTES_MAX,
    digest_hex,
    digest_of_artifact,
    pack_artifact,
    read_manifest,
)
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import (
    ArtifactNotFoundError,
    ArtifactStoreRefusedError,
    ArtifactStoreUnavailableError,
    ArtifactTooLargeError,
    DigestMismatchError,
    LoadedArtifact,
)

PART_BYTES = 8 * 1024 * 1024
"""Larger artifacts go to S3 in parts, each retried on its own, and appear when the last one is there."""

ERROR_CHARACTERS_MAX = 300

_PATH = re.compile(r"sha256/([0-9a-f]{2})/([0-9a-f]{64})\.safetensors")

_ANSWERED_NO = re.compile(r"status code: 4(?!08|29)\d\d")
"""An HTTP answer that trying again will not change; listings give it as a generic error."""

log = structlog.get_logger(__name__)


def path_of(digest: str) -> str:
    """Return where an artifact lies, relative to the store's root. InvalidDigestError unless it is a digest."""
    hex_digits = digest_hex(digest)
    return f"sha256/{hex_digits[:2]}/{hex_digits}.safetensors"


class ObstoreArtifactStore:
    """The contents, over an obstore backend.

    Environments use it through a `SharedArtifactStore`; here nothing is asked about who else may need what is deleted.
    `where` is its name in messages, `folder` the root of a local one.
    """

    def __init__(self, backend: Backend, where: str, artifact_bytes_max: int, folder: Path | None = None) -> None:
        self._backend = backend
        self._where = where.rstrip("/")
        self._artifact_bytes_max = artifact_bytes_max
        self._folder = folder
        self.marks = ObstoreMarks(backend, path_of, self._errors)

    async def describe(self, content: bytes) -> ArtifactFacts:
        """Return digest and size of an artifact file that would be kept. Errors as of `put_artifact`."""
        return await asyncio.to_thread(self._describe, content)

    async def put(self, manifest: ArtifactManifest, weights: bytes) -> ArtifactFacts:
        """See ArtifactStore."""
        return await asyncio.to_thread(lambda: self._put(pack_artifact(manifest, weights)))

    async def put_artifact(self, content: bytes) -> ArtifactFacts:
        """See ArtifactStore."""
        return await asyncio.to_thread(self._put, content)

    async def describe_file(self, path: Path) -> ArtifactFacts:
        """Return digest and size of a file that would be kept. Errors as of `put_artifact`."""
        return await asyncio.to_thread(self._describe_file, path)

    async def put_file(self, path: Path) -> ArtifactFacts:
        """See ArtifactStore."""
        return await asyncio.to_thread(lambda: self._keep(self._describe_file(path), path))

    async def fetch(self, digest: str) -> LoadedArtifact:
        """See ArtifactStore."""
        return await asyncio.to_thread(self._fetch, digest)

    async def local_path(self, digest: str) -> Path | None:
        """See ArtifactStore."""
        return await asyncio.to_thread(self._local_path, digest)

    async def unchecked_path(self, digest: str) -> Path | None:
        """See ArtifactStore."""
        return await asyncio.to_thread(self._unchecked_path, digest)

    async def exists(self, digest: str) -> bool:
        """See ArtifactStore."""
        return await asyncio.to_thread(self._size, digest) is not None

    async def delete(self, digest: str) -> None:
        """See ArtifactStore."""
        await asyncio.to_thread(self._delete, digest)

    async def list(self) -> tuple[ArtifactFacts, ...]:
        """See ArtifactStore."""
        return await asyncio.to_thread(self._list)

    def _describe(self, content: bytes) -> ArtifactFacts:
        self._check_size(len(content), "the artifact")
        manifest = read_manifest(content)
        return ArtifactFacts(digest=digest_of_artifact(content), size_bytes=len(content), signature=manifest.signature)

    def _describe_file(self, path: Path) -> ArtifactFacts:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            self._check_size(size_bytes, "the artifact")
            manifest = read_manifest(file.read(HEADER_BYTES_MAX + 8), size_bytes)
            file.seek(0)
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        return ArtifactFacts(digest=digest, size_bytes=size_bytes, signature=manifest.signature)

    def _put(self, content: bytes) -> ArtifactFacts:
        return self._keep(self._describe(content), content)

    def _keep(self, facts: ArtifactFacts, content: bytes | Path) -> ArtifactFacts:
        digest, path = facts.digest, path_of(facts.digest)
        kept = self._size(digest)
        if kept is None or not self._is_intact(digest):
            if kept is not None:
                log.warning("artifact_repaired", digest=digest, store=self._where)
            # Not `mode="create"`, which forbids uploads in parts: whoever writes this path writes these bytes.
            with self._errors():
                obstore.put(self._backend, path, content, chunk_size=PART_BYTES)
        if self._folder is not None:
            with self._errors():
                _flush_to_disk(self._folder / path)
        return facts

    def _fetch(self, digest: str) -> LoadedArtifact:
        content = self._read(digest)
        self._check_digest(digest, digest_of_artifact(content))
        manifest = read_manifest(content)
        return LoadedArtifact(digest=digest, size_bytes=len(content), manifest=manifest, content=content)

    def _unchecked_path(self, digest: str) -> Path | None:
        if self._folder is None:
            return None
        self._checked_size(digest)
        return self._folder / path_of(digest)

    def _local_path(self, digest: str) -> Path | None:
        path = self._unchecked_path(digest)
        if path is None:
            return None
        with self._errors(digest), path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        self._check_digest(digest, f"sha256:{found}")
        return path

    def _read(self, digest: str) -> bytes:
        """Read all bytes, never more than the limit, even if the object grows after the first look at its size."""
        self._checked_size(digest)
        with self._errors(digest):
            found = obstore.get(self._backend, path_of(digest))
            self._check_size(found.meta["size"], digest)
            return bytes(found.bytes())

    def _checked_size(self, digest: str) -> int:
        size = self._size(digest)
        if size is None:
            raise ArtifactNotFoundError(f"no artifact {digest} in {self._where}")
        self._check_size(size, digest)
        return size

    def _size(self, digest: str) -> int | None:
        path = path_of(digest)
        with self._errors():
            try:
                return int(obstore.head(self._backend, path)["size"])
            except FileNotFoundError:
                return None

    def _is_intact(self, digest: str) -> bool:
        try:
            if self._folder is not None:
                return self._local_path(digest) is not None
            return digest_of_artifact(self._read(digest)) == digest
        except (ArtifactTooLargeError, ArtifactNotFoundError, DigestMismatchError):
            return False

    def _delete(self, digest: str) -> None:
        path = path_of(digest)
        with self._errors():
            try:
                obstore.delete(self._backend, path)
            except FileNotFoundError:
                return

    def _list(self) -> tuple[ArtifactFacts, ...]:
        found = []
        with self._errors():
            for page in obstore.list(self._backend, prefix="sha256"):
                for entry in page:
                    match = _PATH.fullmatch(entry["path"])
                    if match is not None and match[2].startswith(match[1]):
                        found.append(ArtifactFacts(digest=f"sha256:{match[2]}", size_bytes=entry["size"]))
        return tuple(sorted(found, key=lambda facts: facts.digest))

    def _check_size(self, size_bytes: int, what: str) -> None:
        if size_bytes > self._artifact_bytes_max:
            raise ArtifactTooLargeError(
                f"{what} has {size_bytes} bytes; artifact_bytes_max allows {self._artifact_bytes_max}"
            )

    def _check_digest(self, expected: str, found: str) -> None:
        if found != expected:
            raise DigestMismatchError(expected=expected, found=found, where=f"{self._where}/{path_of(expected)}")

    @contextmanager
    def _errors(self, digest: str | None = None) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if digest is not None:
                raise ArtifactNotFoundError(f"no artifact {digest} in {self._where}") from error
            raise ArtifactStoreRefusedError(f"artifact store {self._where}: the bucket or folder is missing") from error
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as error:
            raise ArtifactStoreRefusedError(f"artifact store {self._where} refused: {_first_words(error)}") from error
        except (BaseError, OSError) as error:
            if _ANSWERED_NO.search(_first_words(error)):
                raise ArtifactStoreRefusedError(
                    f"artifact store {self._where} refused: {_first_words(error)}"
                ) from error
            raise ArtifactStoreUnavailableError(
                f"artifact store {self._where} did not answer: {_first_words(error)}"
            ) from error


def _first_words(error: Exception) -> str:
    """Return the message without the body and the debug dump that come after it: those may name keys."""
    return str(error).split("\n", 1)[0].split("<?xml", 1)[0].strip(" :")[:ERROR_CHARACTERS_MAX]


def _flush_to_disk(path: Path) -> None:
    """Write a file and its name through to the disk.

    The registry will name this artifact for ever, so neither the bytes nor the name may be lost with the power.
    """
    for target in (path, path.parent, path.parent.parent):
        handle = os.open(target, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
