"""The port to a directory that lies elsewhere, and the names that files in it may have."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from hotswap_stream.application.mlflow.source import SourceRefusedError

NAME_CHARACTERS_MAX = 512
NAME_PARTS_MAX = 12
FILES_LISTED_MAX = 2_000
"""Files and folders of a directory that are looked at."""


class ModelFolder(Protocol):
    """A directory of a model, read only. What it says comes from outside."""

    @property
    def words(self) -> str:
        """Where it lies, for messages; without secrets."""

    async def files(self) -> Mapping[str, int | None]:
        """Return the files in it and in its folders: relative name → bytes, where that is known.

        Raises:
            SourceRefusedError: It is not there, may not be read, or has more than `FILES_LISTED_MAX` entries.
            SourceUnavailableError: Whoever keeps it did not answer.
        """

    def read(self, name: str) -> AsyncIterator[bytes]:
        """Return the bytes of a file, piece by piece. Errors as of `files`."""


def plain_name(text: object, what: str) -> str:
    """Return a relative name of a file as it is, if it stays in its directory.

    Args:
        text: What was said.
        what: What it is the name of, for the message.

    Raises:
        SourceRefusedError: It is none.
    """
    if not isinstance(text, str) or not 0 < len(text) <= NAME_CHARACTERS_MAX or not text.isprintable():
        raise SourceRefusedError(f"{what} is no name of a file: {str(text)[:200]!a}")
    parts = text.split("/")
    if "\\" in text or len(parts) > NAME_PARTS_MAX or any(part in ("", ".", "..") for part in parts):
        raise SourceRefusedError(f"{what} is {text[:200]!r}, which is not a plain relative name within the directory")
    return text
