"""The page's sessions of this home, so that nobody must sign in again because the API was started again."""

import os
from contextlib import AbstractContextManager
from pathlib import Path

import structlog

from hotswap_stream.home.alone import alone_briefly

FILE = "sessions.json"
LOCK_FILE = "sessions.lock"
BYTES_MAX = 1024**2

_log = structlog.get_logger(__name__)


class SessionFile:
    """One file that nobody but its owner reads. One that cannot be read or written stops nobody's work."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._lock_path = home / LOCK_FILE

    def stamp(self) -> tuple[int, int, int] | None:
        """Return what differs once any process of this home has written; None where there is no file."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def alone(self) -> AbstractContextManager[None]:
        """Hold the lock of this home's sessions in the block; go on without where it cannot be had in half a second."""
        return alone_briefly(self._lock_path)

    def read(self) -> bytes | None:
        """Return what was written last; None where there is nothing that can be read."""
        try:
            with self._path.open("rb") as file:
                content = file.read(BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("sessions_not_read", file=str(self._path), error=str(error))
            return None
        return content if len(content) <= BYTES_MAX else None

    def write(self, content: bytes) -> None:
        """Put this in the place of what was written last."""
        partial = self._path.with_suffix(f".{os.getpid()}.partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(partial, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(content)
            partial.replace(self._path)
        except OSError as error:
            _log.warning("sessions_not_written", file=str(self._path), error=str(error))
