"""What only one process of a machine does at a time.

Where a lock cannot be had in time, or no files can be locked here, blocks go on without: so it is for what is only
better done alone. The system lets go of a lock where the process dies.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

WAIT_SECONDS_MAX = 10.0
LOOK_SECONDS = 0.01
BRIEF_SECONDS_MAX = 0.5
"""How long a process that serves others may stand still for another one, which holds a lock for a millisecond."""
BRIEF_LOOK_SECONDS = 0.001


@asynccontextmanager
async def alone(path: Path) -> AsyncIterator[None]:
    """Hold the lock of a file inside the block; wait for it for at most ten seconds."""
    with _lock_file(path) as taken:
        end_s = time.monotonic() + WAIT_SECONDS_MAX
        while not taken() and time.monotonic() < end_s:
            await asyncio.sleep(LOOK_SECONDS)
        yield


@contextmanager
def alone_briefly(path: Path) -> Iterator[None]:
    """Hold the lock of a file inside a block that takes a moment; wait for it at most half a second. Blocking."""
    with _lock_file(path) as taken:
        end_s = time.monotonic() + BRIEF_SECONDS_MAX
        while not taken() and time.monotonic() < end_s:
            time.sleep(BRIEF_LOOK_SECONDS)
        yield


@contextmanager
def _lock_file(path: Path) -> Iterator[Callable[[], bool]]:
    """Open a file, and give a function that tries to lock it, and returns whether there is nothing more to wait for."""
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (ImportError, OSError):
        yield lambda: True
        return

    def taken() -> bool:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    try:
        yield taken
    finally:
        os.close(number)
