"""A disk of its own that is small enough to be filled: a tmpfs, where the machine lets us mount one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CHUNK = b"\0" * 1024 * 1024


class CannotMountError(Exception):
    """This machine does not let us mount a disk."""


class SmallDisk:
    """`folder` lies on it; `fill` takes all that is left, `free` gives it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filling = folder / "filling"

    def fill(self) -> None:
        """Write until nothing more fits."""
        handle = os.open(self._filling, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            for size in (len(_CHUNK), 4096):
                with suppress(OSError):
                    while os.write(handle, _CHUNK[:size]):
                        pass
        finally:
            os.close(handle)

    def free(self) -> None:
        """Remove what `fill` wrote."""
        self._filling.unlink()


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[SmallDisk]:
    """A mounted disk of this size. CannotMountError."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "hotswap-test", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        raise CannotMountError(mounted.stderr.strip())
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
