"""One upload, held by a lock on its data file."""

import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from hotswap_stream.application.artifacts.uploads.port import (
    UploadBusyError,
    UploadDigestError,
    UploadNotKeptError,
    UploadState,
    UploadTooLargeError,
)


def lock(path: Path) -> FileIO:
    """Open a file for reading and writing, and lock it.

    Raises:
        BlockingIOError: Somebody else has it.
        FileNotFoundError: It is not there, or was deleted meanwhile.
        OSError: It is no regular file, or cannot be opened.
    """
    # Not to wait for whoever reads from a pipe, nor to follow a link: neither was made here.
    file = FileIO(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no regular file")
        if not found.st_nlink:
            raise FileNotFoundError(f"{path} was deleted")
    except BaseException:
        file.close()
        raise
    return file


class LockedUpload:
    """`OpenUpload`. Its calls wait for each other, whatever thread they come from."""

    def __init__(
        self,
        path: Path,
        size_bytes: int,
        digest: str | None,
        *,
        state: Callable[[int], UploadState],
        delete: Callable[[], object],
        goes: bool,
    ) -> None:
        """Raise UploadBusyError where somebody else has it, FileNotFoundError where it is gone."""
        try:
            self._file = lock(path)
        except BlockingIOError:
            raise UploadBusyError(
                "another request writes to this upload, or makes a model of it; try again when it is done"
            ) from None
        self.path = path
        self.digest = digest
        self._size_bytes = size_bytes
        self._state = state
        self._delete = delete
        self._alone = threading.Lock()
        self._removed = goes
        self._received_bytes = os.fstat(self._file.fileno()).st_size
        if self._received_bytes > size_bytes:
            self._file.close()
            raise UploadNotKeptError(f"{path} has more bytes than it may have; somebody else wrote to it")

    @property
    def state(self) -> UploadState:
        """See OpenUpload."""
        return self._state(self._received_bytes)

    def append(self, piece: bytes) -> None:
        """See OpenUpload."""
        with self._working():
            if self._received_bytes + len(piece) > self._size_bytes:
                raise UploadTooLargeError(f"there are more than the {self._size_bytes} bytes that were announced")
            left = memoryview(piece)
            while left:
                written = os.pwrite(self._file.fileno(), left, self._received_bytes)
                self._received_bytes += written
                left = left[written:]

    def cut_off(self, received_bytes: int) -> None:
        """See OpenUpload."""
        with self._working():
            self._file.truncate(received_bytes)
            self._received_bytes = received_bytes

    def check_digest(self) -> None:
        """See OpenUpload."""
        with self._working():
            self._file.seek(0)
            found = f"sha256:{hashlib.file_digest(self._file, 'sha256').hexdigest()}"
        if self.digest is not None and found != self.digest:
            raise UploadDigestError(
                f"the file has the digest {found}, and {self.digest} was announced: it changed while it was sent, or "
                "on the way"
            )

    def remove(self) -> None:
        """See OpenUpload."""
        self._removed = True

    def close(self) -> None:
        """See OpenUpload."""
        with self._alone:
            if self._file.closed:
                return
            try:
                if self._removed:
                    self._delete()
            finally:
                self._file.close()

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._alone:
            if self._file.closed:
                raise UploadNotKeptError("the upload is closed")
            try:
                yield
            except OSError as error:
                raise UploadNotKeptError(f"the upload cannot be kept: {error.strerror or error}") from error
