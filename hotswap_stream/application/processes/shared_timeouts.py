"""Timeouts of many tasks by one timer: most of them end long before, and a timer for each costs more than its use."""

import asyncio
from types import TracebackType
from typing import Any

DURATIONS_MAX = 16
"""Durations of which timeouts share a timer; those of more at once, as callers' own deadlines may be, share none."""


class Timeout:
    """Cancels the task that is in its block when the time is over, which is TimeoutError outside of it.

    As `asyncio.timeout`, but for blocks of equal durations, which end in the order in which they began.
    """

    __slots__ = ("_cancelling", "_expired", "_of", "_task", "when_s")

    def __init__(self, of: "_Equal") -> None:
        self._of = of
        self._expired = False
        self.when_s = 0.0
        """When it ends, by the clock of the loop."""

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a timeout needs a task")
        self._task: asyncio.Task[Any] = task
        self._cancelling = task.cancelling()
        self._of.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._of.running.pop(self, None)
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """End the block."""
        self._expired = True
        self._task.cancel()


class _Equal:
    """Those of one duration."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.running: dict[Timeout, None] = {}
        """The one that ends first at the beginning."""

    def begin(self, timeout: Timeout) -> None:
        timeout.when_s = self._loop.time() + self._seconds
        self.running[timeout] = None
        if self._timer is None:
            self._timer = self._loop.call_at(timeout.when_s, self._look)

    def _look(self) -> None:
        """Expire those whose time is over. The next look is when the first of the others ends, if it lasts."""
        self._timer = None
        now_s = self._loop.time()
        while self.running:
            first = next(iter(self.running))
            if first.when_s > now_s:
                self._timer = self._loop.call_at(first.when_s, self._look)
                return
            del self.running[first]
            first.expire()


class SharedTimeouts:
    """Those of one event loop."""

    def __init__(self) -> None:
        self._equal: dict[float, _Equal] = {}

    def within(self, seconds: float) -> Timeout:
        """Return the timeout of one block: `with timeouts.within(10.0):`, in a task."""
        equal = self._equal.get(seconds)
        if equal is None:
            if len(self._equal) >= DURATIONS_MAX:
                self._equal = {each_s: each for each_s, each in self._equal.items() if each.running}
            equal = _Equal(seconds)
            if len(self._equal) < DURATIONS_MAX:
                self._equal[seconds] = equal
        return Timeout(equal)
