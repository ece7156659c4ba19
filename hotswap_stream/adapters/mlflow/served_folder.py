"""A model's folder among the artifacts that a tracking server serves."""

from collections.abc import AsyncIterator, Mapping

from hotswap_stream.adapters.mlflow.tracking_server import TrackingServer
from hotswap_stream.application.mlflow.importing.folder import FILES_LISTED_MAX, NAME_PARTS_MAX, plain_name
from hotswap_stream.application.mlflow.source import SourceRefusedError


class ServedFolder:
    """See ModelFolder."""

    def __init__(self, server: TrackingServer, path: str) -> None:
        self._server = server
        self._path = path

    @property
    def words(self) -> str:
        """See ModelFolder."""
        return f"{self._path[:300]!r} on {self._server.words}"

    async def files(self) -> Mapping[str, int | None]:
        """See ModelFolder."""
        found: dict[str, int | None] = {}
        waiting, seen = [""], 0
        while waiting:
            prefix = waiting.pop()
            for entry in await self._server.list_served(f"{self._path}/{prefix}".rstrip("/")):
                # Some servers give the name alone, others the whole path.
                name = plain_name(prefix + entry.path.rpartition("/")[2], "a file of the folder")
                seen += 1
                if seen > FILES_LISTED_MAX or name.count("/") >= NAME_PARTS_MAX:
                    raise SourceRefusedError(f"{self.words} has more than {FILES_LISTED_MAX} files or is too deep")
                if entry.is_dir:
                    waiting.append(f"{name}/")
                else:
                    found[name] = _bytes(entry.file_size)
        return found

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """See ModelFolder."""
        async for piece in self._server.read_served(f"{self._path}/{plain_name(name, 'a file of the folder')}"):
            yield piece


def _bytes(size: int | str | None) -> int | None:
    return int(size) if size is not None and str(size).isdecimal() else None
