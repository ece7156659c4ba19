"""An artifact file in memory: read once, hashed on the way, and used where it was read to."""

import asyncio
import hashlib
import mmap
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hotswap_stream.application.artifacts.file import read_manifest
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore, DigestMismatchError

CHUNK_BYTES = 32 * 1024 * 1024
"""Read, and hashed in a second thread while the next one is read, each without Python's lock. Between two pieces the
lock has to be had back from a thread that answers requests meanwhile, and it gives it away every half millisecond at
best: by pieces of 1 MB, which would still be in the processor's cache, 300 MB took 2.8 s beside such a thread, and 0.4
s in two pieces of work."""

Content = bytes | npt.NDArray[np.uint8]


async def read_artifact(store: ArtifactStore, digest: str) -> tuple[ArtifactManifest, Content]:
    """Return an artifact's manifest and its bytes. The errors of `ArtifactStore.fetch`."""
    path = await store.unchecked_path(digest)
    if path is None:
        artifact = await store.fetch(digest)
        return artifact.manifest, artifact.content
    content = await asyncio.to_thread(read_file, path, digest)
    return read_manifest(content.data), content


def read_file(path: Path, digest: str | None = None) -> npt.NDArray[np.uint8]:
    """Return all bytes of a file in memory of their own: every page is there, and the file may go.

    Raises:
        DigestMismatchError: Its SHA-256 is not `digest`.
        OSError: It cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        file.seek(0)
        array = _memory(size)
        pieces = _pieces(file, array)
        found = None if digest is None else _hashed(pieces, is_long=size > CHUNK_BYTES)
        for _piece in pieces:
            pass  # which reads what nobody wanted hashed
    if digest is not None and found is not None and found != digest:
        raise DigestMismatchError(expected=digest, found=found, where=str(path))
    return array


def _hashed(pieces: Iterable[memoryview], *, is_long: bool) -> str:
    """Return the digest of all pieces together, each hashed while the next one is read if there are many."""
    hashed = hashlib.sha256()
    if is_long:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="hash") as beside:
            hashing = [beside.submit(hashed.update, piece) for piece in pieces]
        for done in hashing:
            done.result()
    else:
        for piece in pieces:
            hashed.update(piece)
    return f"sha256:{hashed.hexdigest()}"


def _pieces(file: FileIO, array: npt.NDArray[np.uint8]) -> Iterator[memoryview]:
    """Fill the array from a file, and yield each piece when it is there."""
    view, position = array.data, 0
    while position < len(view):
        got = file.readinto(view[position : position + CHUNK_BYTES])
        if not got:
            raise OSError(f"{file.name} was cut short while it was read")
        yield view[position : position + got]
        position += got


def _memory(size: int) -> npt.NDArray[np.uint8]:
    """Return memory of whole pages that nobody has used.

    Not numpy's own, which asks the system for huge pages: in a virtual machine that gave those back to its host while
    they were free, 300 MB took up to 0.7 s of a processor that way, and 0.15 s in pages of the usual size.
    """
    return np.frombuffer(mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)[:size]
