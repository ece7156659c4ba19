"""What is uploaded: a file or bytes, read in pieces."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from msgspec import Struct

SEND_BYTES = 256 * 1024
"""The part of a file that is in memory at a time."""

Uploadable = str | os.PathLike[str] | bytes | bytearray | memoryview
"""A path, or the bytes themselves."""


class Source:
    """A file, or bytes; open it with `with`, and read it from one thread at a time."""

    def __init__(self, given: Uploadable) -> None:
        self._given = given
        self._file: BinaryIO | None = None
        self.size_bytes = 0

    def __enter__(self) -> Self:
        if isinstance(self._given, bytes | bytearray | memoryview):
            self._given = memoryview(self._given).cast("B")
            self.size_bytes = len(self._given)
            return self
        path = Path(self._given)
        # Not to wait for whoever writes to a pipe: it is refused below.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise ValueError(f"{path} is no regular file, so its size is not known")
            self._file = os.fdopen(handle, "rb", buffering=0)
        except BaseException:
            os.close(handle)
            raise
        self.size_bytes = found.st_size
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, offset: int, bytes_max: int) -> bytes:
        """Return the bytes from an offset on, at most `SEND_BYTES` of them and at least one.

        Raises:
            ValueError: There are none any more, since somebody has cut the file off.
        """
        most = min(bytes_max, SEND_BYTES)
        if self._file is None:
            return bytes(memoryview(self._given)[offset : offset + most])  # type: ignore[arg-type]  # it is no path
        self._file.seek(offset)
        found = self._file.read(most)
        if not found:
            raise ValueError(f"{self._given!r} has become shorter than {self.size_bytes} bytes while it was sent")
        return found

    def digest(self) -> str:
        """Return `sha256:<hex>` over all of it, read in pieces."""
        found = hashlib.sha256()
        offset = 0
        while offset < self.size_bytes:
            piece = self.read(offset, self.size_bytes - offset)
            found.update(piece)
            offset += len(piece)
        return f"sha256:{found.hexdigest()}"


class Part(Struct, frozen=True, kw_only=True):
    """Bytes of a source that one request sends."""

    source: Source
    offset: int
    size_bytes: int
    sent: Callable[[int], None]
    """Called with how far the source is sent, in bytes."""

    def next_piece(self, at: int) -> bytes:
        """Return what comes at this place of the part; empty at its end."""
        left = self.size_bytes - at
        return self.source.read(self.offset + at, left) if left else b""

    def pieces(self) -> Iterator[bytes]:
        """Return all of it, piece after piece."""
        at = 0
        while piece := self.next_piece(at):
            yield piece
            at += len(piece)
            self.sent(self.offset + at)
