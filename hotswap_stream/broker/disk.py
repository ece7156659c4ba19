"""How much room the broker's disk has, and when people are told of it."""

import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)

DISK_FREE_BYTES_LOW = 2 * 1024**3
"""Below this, whoever runs the broker is warned: a full disk ends it."""
_ENOUGH_AGAIN = 1.25
_MEMORY_SECONDS = 30.0

FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Return the bytes that may still be written on the disk of a folder."""
    return shutil.disk_usage(folder).free


def human_bytes(count: int) -> str:
    """Return `count` bytes as people write them, such as `1.5 GiB`."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


class DiskWatch:
    """Looks at the free space again and again, and remembers the least of the last half minute.

    A full disk takes the broker's log with it, which then cannot say what ended the broker; and by the time somebody
    asks, there may be room again.
    """

    def __init__(self, folder: Path, *, needed_bytes: int, read: FreeBytes = free_bytes) -> None:
        self._folder = folder
        self._needed_bytes = needed_bytes
        self._read = read
        self._low = False
        self._seen: deque[tuple[float, int]] = deque()

    def look(self, now_s: float) -> int:
        """Return the bytes that are free now; what was found before, where the file system does not say."""
        try:
            found = self._read(self._folder)
        except OSError as error:
            _log.warning("broker_disk_unknown", folder=str(self._folder), error=str(error))
            return self._seen[-1][1] if self._seen else self._needed_bytes
        self._seen.append((now_s, found))
        while now_s - self._seen[0][0] > _MEMORY_SECONDS:
            self._seen.popleft()
        # A little more than the limit before it counts as enough again, or the warning would come and go.
        self._low = found < DISK_FREE_BYTES_LOW * (_ENOUGH_AGAIN if self._low else 1)
        return found

    @property
    def was_full(self) -> str:
        """Return what to say when a look found too little room for a start; empty when none did.

        Only the looks of the last half minute count.
        """
        least = min((found for _, found in self._seen), default=self._needed_bytes)
        if least >= self._needed_bytes:
            return ""
        return f"the disk of {self._folder} was full ({human_bytes(least)} free); there is room again, it is started"

    @property
    def warning(self) -> str:
        """Return what to say about the room left at the last look; empty when that was enough."""
        if not self._low:
            return ""
        return (
            f"the disk of {self._folder} has only {human_bytes(self._seen[-1][1])} free (warned of below "
            f"{human_bytes(DISK_FREE_BYTES_LOW)}): make room, or lower HOTSWAP_BROKER_DISK_BYTES_MAX; "
            "a full disk ends the broker"
        )

    @property
    def full(self) -> str:
        """Return what to say, and what to do, when the last look found no room for a start; else an empty text."""
        return (
            f"the disk of {self._folder} is full ({human_bytes(self._seen[-1][1])} free, "
            f"{human_bytes(self._needed_bytes)} are needed): make room there, and the broker is started again by itself"
        )
