"""Noticing that this process stood still (SIGSTOP, a suspended machine), so that it does not answer as a zombie."""

import asyncio
import time

from hotswap_stream.application.processes.watched_tasks import WatchedTasks

TICK_SECONDS = 0.1
STALL_SECONDS_MAX = 1.5
"""Below the time after which others take this worker for dead (`fleet.FALLEN_SECONDS`), and well below the group's
session time-out: until then nobody else can have been given our partitions."""


class StallWatch:
    """Tick on the event loop; a gap between ticks means that the loop, or the whole process, did not run."""

    def __init__(self) -> None:
        self._last_tick = time.monotonic()
        self._stalls = 0
        self.tasks = WatchedTasks("the watch for stand-stills")

    def start(self) -> None:
        """Begin ticking."""
        self._last_tick = time.monotonic()
        self.tasks.start(self._tick(), name="stall-watch")

    async def stop(self) -> None:
        """Stop ticking."""
        await self.tasks.stop()

    @property
    def stalls(self) -> int:
        """How often the process stood still so far; compare before and after to see whether it did in between."""
        self._look()
        return self._stalls

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._last_tick > STALL_SECONDS_MAX:
            self._stalls += 1
        self._last_tick = now

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._look()
