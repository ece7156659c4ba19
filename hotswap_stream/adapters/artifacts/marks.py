"""The marks of environments in the store: objects without content, named `refs/<hex digits>/<environment>`."""

import asyncio
import os
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import msgspec
import obstore

from hotswap_stream.adapters.artifacts.backend import Backend
from hotswap_stream.application.artifacts.file import digest_hex
from hotswap_stream.application.artifacts.references import Mark, is_mark_name
from hotswap_stream.errors import ConfigurationError

FOLDER = "refs"
_PATH = re.compile(rf"{FOLDER}/([0-9a-f]{{64}})/([^/]+)")


class ObstoreMarks:
    """`ArtifactMarks` over an obstore backend. `errors` turns the store's errors into ours."""

    def __init__(
        self,
        backend: Backend,
        path_of: Callable[[str], str],
        errors: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._backend = backend
        self._path_of = path_of
        self._errors = errors

    async def write(self, digest: str, name: str) -> None:
        # For people who look into the store; nobody reads it.
        """See ArtifactMarks."""
        content = msgspec.json.encode({"environment": name, "host": socket.gethostname(), "process": os.getpid()})
        await asyncio.to_thread(self._do, lambda: obstore.put(self._backend, mark_path(digest, name), content))

    async def of(self, digest: str) -> tuple[Mark, ...]:
        """See ArtifactMarks."""
        return await asyncio.to_thread(self._of, digest)

    async def remove(self, digest: str, name: str) -> None:
        """See ArtifactMarks."""
        path = mark_path(digest, name)
        await asyncio.to_thread(self._do, lambda: _delete(self._backend, path))

    async def all(self) -> dict[str, frozenset[str]]:
        """See ArtifactMarks."""
        return await asyncio.to_thread(self._all)

    async def artifact_written_at(self, digest: str) -> datetime | None:
        """See ArtifactMarks."""
        return await asyncio.to_thread(self._written_at, self._path_of(digest))

    async def delete_artifact(self, digest: str) -> None:
        """See ArtifactMarks."""
        path = self._path_of(digest)
        await asyncio.to_thread(self._do, lambda: _delete(self._backend, path))

    def _do(self, work: Callable[[], Any]) -> None:
        with self._errors():
            work()

    def _of(self, digest: str) -> tuple[Mark, ...]:
        prefix = f"{FOLDER}/{digest_hex(digest)}"
        return tuple(
            Mark(match[2], entry["last_modified"]) for match, entry in self._found(prefix) if is_mark_name(match[2])
        )

    def _all(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for match, _entry in self._found(FOLDER):
            if is_mark_name(match[2]):
                found.setdefault(f"sha256:{match[1]}", set()).add(match[2])
        return {digest: frozenset(names) for digest, names in found.items()}

    def _found(self, prefix: str) -> list[tuple[re.Match[str], Mapping[str, Any]]]:
        found: list[tuple[re.Match[str], Mapping[str, Any]]] = []
        with self._errors():
            for page in obstore.list(self._backend, prefix=prefix):
                for entry in page:
                    match = _PATH.fullmatch(entry["path"])
                    if match is not None:
                        found.append((match, entry))
        return found

    def _written_at(self, path: str) -> datetime | None:
        with self._errors():
            try:
                found: datetime = obstore.head(self._backend, path)["last_modified"]
            except FileNotFoundError:
                return None
            return found


def mark_path(digest: str, name: str) -> str:
    """Return where a mark lies. InvalidDigestError, and ConfigurationError for what is no name of a mark."""
    if not is_mark_name(name):
        raise ConfigurationError(f"{name[:200]!r} cannot mark an artifact: it is no environment's name")
    return f"{FOLDER}/{digest_hex(digest)}/{name}"


def _delete(backend: Backend, path: str) -> None:
    try:
        obstore.delete(backend, path)
    except FileNotFoundError:
        return
