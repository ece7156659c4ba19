"""Giving memory back to the machine when a version is unloaded."""

import ctypes
import threading
from collections.abc import Callable
from functools import cache


def give_back(drop: Callable[[], None]) -> threading.Thread:
    """Call `drop`, then return what it freed to the system, in a thread.

    Freeing hundreds of MB takes milliseconds.
    """
    thread = threading.Thread(target=_drop_and_trim, args=(drop,), name="unload", daemon=True)
    thread.start()
    return thread


def _drop_and_trim(drop: Callable[[], None]) -> None:
    drop()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's function: without it, small blocks stay in this process when they are freed.

    None in other C libraries.
    """
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return found
