"""The page's sessions of this home, so that nobody must sign in again because the API was started again."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

FILE = "sessions.json"
LOCK_FILE = "sessions.lock"
BYTES_MAX = 1024**2
WAIT_SECONDS_MAX = 0.5
"""How long to wait for another process that writes, which takes it a millisecond unless it is stopped just then."""
LOOK_SECONDS = 0.001

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

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock of this home's sessions in the block; go on without where it cannot be had in half a second."""
        try:
            import fcntl

            self._path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (ImportError, OSError):
            yield
            return
        try:
            end_s = time.monotonic() + WAIT_SECONDS_MAX
            while time.monotonic() < end_s:
                try:
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    time.sleep(LOOK_SECONDS)
            yield
        finally:
            os.close(number)

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
