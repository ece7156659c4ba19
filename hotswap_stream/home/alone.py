"""What only one process of a machine does at a time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

WAIT_SECONDS_MAX = 10.0
LOOK_SECONDS = 0.01


@asynccontextmanager
async def alone(path: Path) -> AsyncIterator[None]:
    """Hold the lock of a file inside the block; the system lets go of it where the process dies.

    Where it cannot be had in ten seconds, or no files can be locked here, the block goes on without: so it is for what
    is only better done alone.
    """
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
                await asyncio.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(number)
