"""What lies in a watched folder. Nothing but regular files is ever opened, and no link is followed."""

import heapq
import os
import stat
from pathlib import Path

from msgspec import Struct

WAITING_MAX = 1_000
"""Files that are looked at in one look, the oldest ones; the others wait for their turn."""
NAME_BYTES_MAX = 255
UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
"""Ends of the names of files that somebody still writes."""

Identity = tuple[int, int, int, int]
"""Device, inode, size and time of the last change: another one says that the file is another, or has grown."""


class Waiting(Struct, frozen=True):
    """A regular file."""

    path: Path
    identity: Identity
    changed_ns: int

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return self.identity[2]


class Scan(Struct, frozen=True, kw_only=True):
    """One look into the folder."""

    waiting: tuple[Waiting, ...]
    """Oldest first."""
    strange: tuple[tuple[str, str], ...] = ()
    """Name → what it is that cannot be taken; at most `WAITING_MAX`."""
    more: int = 0
    """Files beyond those."""


def scan(folder: Path) -> Scan:
    """Look once.

    Raises:
        OSError: The folder is gone, is none, or may not be read.
    """
    oldest: list[tuple[int, str, Waiting]] = []
    strange: list[tuple[str, str]] = []
    files = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.endswith(UNFINISHED):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # it was moved away meanwhile
            if stat.S_ISDIR(found.st_mode):
                continue
            what = _strange(found.st_mode)
            if what is not None:
                if len(strange) < WAITING_MAX:
                    strange.append((entry.name, what))
                continue
            files += 1
            identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            each = (-found.st_mtime_ns, entry.name, Waiting(Path(entry.path), identity, found.st_mtime_ns))
            if len(oldest) < WAITING_MAX:
                heapq.heappush(oldest, each)
            else:
                heapq.heappushpop(oldest, each)
    waiting = tuple(each[2] for each in sorted(oldest, key=lambda each: (-each[0], each[1])))
    return Scan(waiting=waiting, strange=tuple(strange), more=files - len(waiting))


def _strange(mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISLNK(mode):
        return "a link; put the file itself there"
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"
