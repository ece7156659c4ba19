"""Model directories for MLflow's clients: made when the first one asks, kept for those that read file after file."""

import asyncio
import os
import shutil
import stat
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from hotswap_events.registry.state import RegistryVersion
from hotswap_stream.application.mlflow.export import ModelExport, NotExportableError

FOLDERS_MAX = 4
"""Directories kept at once; the one that was read longest ago makes room. Each is about as large as its artifact."""
FILES_MAX = 1_024


_Key = tuple[str, str, str]
"""Model, version, digest of the artifact."""


class ExportedFile(Struct, frozen=True):
    """A file of a directory. `name` is relative, with slashes."""

    name: str
    path: Path
    size_bytes: int


class Exported(Struct, frozen=True):
    """A directory as it was written. What is not among its files is not in it, whatever a request names."""

    files: dict[str, ExportedFile]


class Exports:
    """Makes directories one at a time, in a folder that nobody else writes to."""

    def __init__(self, export: ModelExport, folder: Path, *, folders_max: int = FOLDERS_MAX) -> None:
        self._export = export
        self._folder = folder
        self._folders_max = folders_max
        self._kept: OrderedDict[_Key, tuple[Path, Exported]] = OrderedDict()
        self._readers: dict[_Key, int] = {}
        self._turn = asyncio.Lock()
        self._made = 0

    @asynccontextmanager
    async def reading(self, model_name: str, version: RegistryVersion) -> AsyncIterator[Exported]:
        """Hold the directory of a version while it is read.

        Raises:
            NotExportableError: None can be made of the version.
            HotswapError: Those of the artifact store.
        """
        key = (model_name, version.model_version, version.artifact.digest)
        self._readers[key] = self._readers.get(key, 0) + 1
        try:
            async with self._turn:
                if key not in self._kept:
                    self._kept[key] = await self._make(model_name, version)
                self._kept.move_to_end(key)
                exported = self._kept[key][1]
            yield exported
        finally:
            self._readers[key] -= 1
            if not self._readers[key]:
                del self._readers[key]
            await self._make_room()

    async def _make(self, model_name: str, version: RegistryVersion) -> tuple[Path, Exported]:
        self._made += 1
        folder = self._folder / str(self._made)
        await asyncio.to_thread(folder.mkdir, mode=0o700)
        try:
            await self._export.export(model_name, version, folder)
            return folder, await asyncio.to_thread(_written, folder)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
            raise

    async def _make_room(self) -> None:
        while len(self._kept) > self._folders_max:
            unread = next((key for key in self._kept if key not in self._readers), None)
            if unread is None:
                return
            folder, _ = self._kept.pop(unread)
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


def _written(folder: Path) -> Exported:
    """Return what is in a directory. NotExportableError for what may not be."""
    files: dict[str, ExportedFile] = {}
    for parent, folders, names in os.walk(folder):
        for name in (*names, *folders):
            path = Path(parent, name)
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode):
                continue
            if not stat.S_ISREG(found.st_mode) or len(files) == FILES_MAX:
                raise NotExportableError(f"{path.name!r} is no file, or there are more than {FILES_MAX} files")
            relative = path.relative_to(folder).as_posix()
            files[relative] = ExportedFile(relative, path, found.st_size)
    return Exported(files)
