"""Taking a file out of a watched folder: a copy of the bytes that were whole, and a place for the file afterwards."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from hotswap_stream.adapters.folder.scan import NAME_BYTES_MAX, Waiting
from hotswap_stream.errors import HotswapError

TAKEN, BAD = "taken", "bad"
"""Folders inside the watched one."""
REASON_SUFFIX = ".reason.txt"
REASON_CHARACTERS_MAX = 8_000
SAME_NAME_MAX = 10_000
CHUNK_BYTES = 1024 * 1024


class ChangedMeanwhileError(HotswapError):
    """The file is not the one that was looked at, or is written to: it is looked at again."""

    retriable = True


class TooLargeError(HotswapError):
    """The file has more bytes than are taken."""


def copy_whole(waiting: Waiting, to: Path, *, bytes_max: int) -> None:
    """Copy the file as it was seen, whatever its name stands for meanwhile. No link is followed, no pipe waited for.

    Raises:
        ChangedMeanwhileError: It changed.
        TooLargeError: It has too many bytes.
        OSError: It cannot be read, or the copy not written.
    """
    if waiting.size_bytes > bytes_max:
        raise TooLargeError(f"it has {waiting.size_bytes:,} bytes; at most {bytes_max:,} are taken")
    try:
        descriptor = os.open(waiting.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ChangedMeanwhileError(f"{waiting.path.name} was moved away") from error
    with open(descriptor, "rb") as source, to.open("wb") as copy:
        _check(source.fileno(), waiting)
        while chunk := source.read(CHUNK_BYTES):
            copy.write(chunk)
            if copy.tell() > waiting.size_bytes:
                raise ChangedMeanwhileError(f"{waiting.path.name} grows")
        _check(source.fileno(), waiting)


def _check(descriptor: int, waiting: Waiting) -> None:
    found = os.fstat(descriptor)
    identity = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    if not stat.S_ISREG(found.st_mode) or identity != waiting.identity:
        raise ChangedMeanwhileError(f"{waiting.path.name} has changed")


def set_aside(waiting: Waiting, folder: Path, kind: str, *, beginning: str = "", reason: str | None = None) -> Path:
    """Move a file into a folder inside the watched one, under a name that is free there.

    Args:
        waiting: The file.
        folder: The watched folder.
        kind: `taken` or `bad`.
        beginning: What its name begins with there.
        reason: What is written beside it.

    Raises:
        OSError: It cannot be moved.
    """
    room = folder / kind
    room.mkdir(exist_ok=True)
    if room.is_symlink():
        raise NotADirectoryError(f"{room} is a link")
    target = _free(room, f"{beginning}{waiting.path.name}")
    os.rename(waiting.path, target)
    if reason is not None:
        # Without room for the words the file is moved all the same; the log and the event have them.
        with suppress(OSError):
            target.with_name(f"{target.name}{REASON_SUFFIX}").write_text(
                reason[:REASON_CHARACTERS_MAX] + "\n", encoding="utf-8", errors="replace"
            )
    return target


def _free(room: Path, name: str) -> Path:
    kept = os.fsencode(name)[: NAME_BYTES_MAX - len(REASON_SUFFIX) - 8]
    stem = os.fsdecode(kept)
    for number in range(1, SAME_NAME_MAX):
        target = room / (stem if number == 1 else f"{stem}.{number}")
        if not os.path.lexists(target):
            return target
    raise FileExistsError(f"{room} holds {SAME_NAME_MAX} files named {name!r}; clear it")
