"""Background tasks that somebody watches.

A task that ends while nobody told it to leaves its part standing still without a word: what it followed grows old, what
it sent is sent no more. Every part that works in the background therefore starts its tasks here; whoever runs the part
asks for `failure` now and then, and the log tells at once. A process that finds one ends, so that it is started again.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

STOP_SECONDS_MAX = 5.0


class TaskEndedError(HotswapError):
    """A part of this process no longer works; it has to be started again."""

    retriable = True


class WatchedTasks:
    """The tasks of one part. They run until `stop`."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: TaskEndedError | None = None
        self._stopping = False

    @property
    def failure(self) -> TaskEndedError | None:
        """The first task that ended by itself, with an error or without; None while all run."""
        return self._failure

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        """Run it on the running event loop."""
        self._tasks.add(self.started(work, name=name))

    def started(self, work: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]":
        """Run it like `start`, for those who wait for the task themselves."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def expect_end(self) -> None:
        """Let tasks end by themselves from here on: they were told to."""
        self._stopping = True

    async def stop(self, seconds_max: float = STOP_SECONDS_MAX) -> None:
        """Cancel them, and return when they have ended or the time is over."""
        self._stopping = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _done, left = await asyncio.wait(tasks, timeout=seconds_max)
            if left:
                _log.warning("tasks_left_behind", part=self._part, tasks=sorted(task.get_name() for task in left))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()  # looked at, so that nothing complains
        if self._stopping:
            return
        cause = "it was cancelled" if task.cancelled() else "it returned" if error is None else f"{error!r}"
        if self._failure is None:
            self._failure = TaskEndedError(f"{self._part} stands still: its task {task.get_name()!r} ended: {cause}")
            self._failure.__cause__ = error
        _log.error("task_ended", part=self._part, task=task.get_name(), exc_info=error)


def first_failure(parts: Iterable[WatchedTasks]) -> TaskEndedError | None:
    """Return what ended first in the first of the parts in which something did."""
    return next((part.failure for part in parts if part.failure is not None), None)
