"""A process that stands still as a whole says where, and ends, so that it is started again.

Where one thread keeps Python's lock for good, nothing of a process runs any more that could notice: not its event loop,
not the thread that answers probes, not a handler of signals. Its Kafka clients go on meanwhile, so for its group it
lives. Python's fault handler waits in a thread that needs no lock.
"""

import asyncio
import faulthandler
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

STANDING_STILL_SECONDS_MAX = 300.0
"""More than the longest import, or load of weights, that keeps the lock. Probes of `/livez` notice earlier."""
_LOOKS = 6
_STANDARD_ERROR = 2
"""The descriptor, and not `sys.stderr`, which may be a stream without one."""


@asynccontextmanager
async def ended_if_standing_still(limit_seconds: float = STANDING_STILL_SECONDS_MAX) -> AsyncIterator[None]:
    """End the process where its event loop does not turn for `limit_seconds` within the block.

    It writes to standard error what each of its threads does, and ends with 1 at once. The same happens to one that
    was stopped (SIGSTOP) for longer, when it goes on. Only one block at a time, because Python has one such timer for a
    process.

    Args:
        limit_seconds: How long the loop may stand still, > 0.
    """
    _wait_for_next_turn(limit_seconds)
    turning = asyncio.create_task(_turn(limit_seconds), name="standing-still")
    try:
        yield
    finally:
        turning.cancel()
        with suppress(asyncio.CancelledError):
            await turning
        faulthandler.cancel_dump_traceback_later()


async def _turn(limit_seconds: float) -> None:
    while True:
        await asyncio.sleep(limit_seconds / _LOOKS)
        _wait_for_next_turn(limit_seconds)


def _wait_for_next_turn(limit_seconds: float) -> None:
    faulthandler.dump_traceback_later(limit_seconds, exit=True, file=_STANDARD_ERROR)
