"""A model's folder in a bucket, by the credentials of the artifact store."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

from hotswap_stream.application.mlflow.importing.folder import FILES_LISTED_MAX, plain_name
from hotswap_stream.application.mlflow.source import SourceRefusedError, SourceUnavailableError

PIECE_BYTES = 4 * 1024**2


class S3Folder:
    """See ModelFolder."""

    def __init__(self, store: Any, url: str) -> None:
        """Take a folder.

        Args:
            store: obstore's, whose prefix is the folder.
            url: Of the folder, for messages.
        """
        self._store = store
        self._url = url

    @property
    def words(self) -> str:
        """See ModelFolder."""
        return self._url[:300]

    async def files(self) -> Mapping[str, int | None]:
        """See ModelFolder."""
        found: dict[str, int | None] = {}
        try:
            async for batch in self._store.list():
                for entry in batch:
                    found[plain_name(entry["path"], "a file of the folder")] = int(entry["size"])
                if len(found) > FILES_LISTED_MAX:
                    raise SourceRefusedError(f"{self.words} has more than {FILES_LISTED_MAX} files")
        except (BaseError, OSError) as error:
            raise self._failed(error) from error
        return found

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """See ModelFolder."""
        try:
            found = await obstore.get_async(self._store, plain_name(name, "a file of the folder"))
            async for piece in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)
        except (BaseError, OSError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> SourceRefusedError | SourceUnavailableError:
        if isinstance(error, NotFoundError | FileNotFoundError):
            return SourceRefusedError(f"{self.words} is not there")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError):
            return SourceRefusedError(f"{self.words} may not be read with the credentials of the artifact store")
        return SourceUnavailableError(f"{self.words} did not answer ({type(error).__name__})")
