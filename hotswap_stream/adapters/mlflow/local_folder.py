"""A model's folder on this machine: below what the operator allowed, and without links that lead out."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from hotswap_stream.application.mlflow.importing.folder import FILES_LISTED_MAX, plain_name
from hotswap_stream.application.mlflow.source import SourceRefusedError

PIECE_BYTES = 1024**2
_DEPTH_MAX = 12


class LocalFolder:
    """See ModelFolder."""

    def __init__(self, path: str, roots: Sequence[Path] | None) -> None:
        """Take a folder.

        Args:
            path: As it was said; not looked at yet.
            roots: Folders below which it may be; None: anywhere.
        """
        self._said = path
        self._roots = roots

    @property
    def words(self) -> str:
        """See ModelFolder."""
        return f"folder {self._said[:300]!r}"

    async def files(self) -> Mapping[str, int | None]:
        """See ModelFolder."""
        return await asyncio.to_thread(self._files)

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """See ModelFolder."""
        descriptor = await asyncio.to_thread(self._open, plain_name(name, "a file of the folder"))
        with os.fdopen(descriptor, "rb") as opened:
            while piece := await asyncio.to_thread(opened.read, PIECE_BYTES):
                yield piece

    def _folder(self) -> Path:
        if self._roots is not None and not self._roots:
            raise SourceRefusedError(
                f"{self.words} is not read: HOTSWAP_MLFLOW_FILE_ROOTS names the folders below which models may be "
                "read, and there are none"
            )
        try:
            if not os.path.isabs(self._said) and self._roots is not None:
                raise SourceRefusedError(f"{self.words} is no absolute path")
            folder = Path(self._said).resolve(strict=True)
            allowed = self._roots is None or any(folder.is_relative_to(root.resolve()) for root in self._roots)
            # Whether something is there is not said of what is not allowed.
            if allowed and folder.is_dir():
                return folder
        except (OSError, ValueError, RuntimeError):
            allowed = self._roots is None
        if not allowed:
            raise SourceRefusedError(f"{self.words} is not there, or not below HOTSWAP_MLFLOW_FILE_ROOTS")
        raise SourceRefusedError(f"{self.words} is not there, or is no folder")

    def _files(self) -> dict[str, int | None]:
        folder = self._folder()
        found: dict[str, int | None] = {}
        waiting, seen = [(folder, "", 0)], 0
        while waiting:
            place, prefix, depth = waiting.pop()
            try:
                entries = os.scandir(place)
            except OSError as error:
                raise SourceRefusedError(f"{self.words} cannot be read: {error.strerror}") from error
            with entries:
                for entry in entries:
                    name, seen = prefix + entry.name, seen + 1
                    if seen > FILES_LISTED_MAX or depth > _DEPTH_MAX:
                        raise SourceRefusedError(f"{self.words} has more than {FILES_LISTED_MAX} files or is too deep")
                    if entry.is_symlink():
                        raise SourceRefusedError(f"{self.words} has a symbolic link ({name[:200]!r}); plain files only")
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((Path(entry.path), f"{name}/", depth + 1))
                    elif entry.is_file(follow_symlinks=False):
                        found[name] = entry.stat(follow_symlinks=False).st_size
                    else:
                        raise SourceRefusedError(f"{self.words} has {name[:200]!r}, which is no plain file")
        return found

    def _open(self, name: str) -> int:
        folder = self._folder()
        path = folder / name
        try:
            if path.parent.resolve(strict=True) != path.parent:
                raise SourceRefusedError(f"{name[:200]!r} of {self.words} is not where it was")
            # Not through a link, and without waiting for somebody to write into a pipe.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise SourceRefusedError(f"{name[:200]!r} of {self.words} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise SourceRefusedError(f"{name[:200]!r} of {self.words} is no plain file")
        return descriptor
