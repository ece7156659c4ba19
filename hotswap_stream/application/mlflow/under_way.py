"""Long requests that a client may ask for once more because it did not wait: it gets what the first one brings."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

import structlog

from hotswap_stream.errors import HotswapError

Result = TypeVar("Result")

UNDER_WAY_MAX = 8
"""At once; each may hold a model's files."""
KEPT_SECONDS = 600.0
"""How long what nobody waited for is kept for whoever asks again."""

_log = structlog.get_logger(__name__)


class TooMuchUnderWayError(HotswapError):
    """As many models as may be are being imported; the same request may succeed later."""

    retriable = True


class UnderWay(Generic[Result]):
    """Work by what was asked for. Who asks the same while it goes on, or when its answer was lost, gets its result."""

    def __init__(self, *, under_way_max: int = UNDER_WAY_MAX, kept_seconds: float = KEPT_SECONDS) -> None:
        self._under_way_max = under_way_max
        self._kept_seconds = kept_seconds
        self._tasks: dict[Hashable, asyncio.Task[Result]] = {}
        self._waiting: dict[Hashable, int] = {}

    async def result(self, key: Hashable, work: Callable[[], Awaitable[Result]]) -> Result:
        """Return what the work for this key brings: work that goes on already, or this.

        Being cancelled leaves the work alone.

        Raises:
            TooMuchUnderWayError: There is none for this key, and there may be no more.
        """
        task = self._tasks.get(key)
        if task is None:
            self._make_room()
            task = self._tasks[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._done(key, done))
        self._waiting[key] = self._waiting.get(key, 0) + 1
        heard = False
        try:
            found = await asyncio.shield(task)
            heard = True
        except Exception:
            heard = True
            raise
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
            if task.done():
                self._leave(key, task, heard=heard)
        return found

    async def close(self) -> None:
        """Cancel all that goes on, and wait for its end."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _make_room(self) -> None:
        if len(self._tasks) < self._under_way_max:
            return
        unheard = next((key for key, task in self._tasks.items() if task.done()), None)
        if unheard is None:
            raise TooMuchUnderWayError(f"{len(self._tasks)} models are being imported, the most there may be at once")
        del self._tasks[unheard]

    def _done(self, key: Hashable, task: asyncio.Task[Result]) -> None:
        if key not in self._waiting:
            if not task.cancelled():
                _log.info("done_unheard", error=type(task.exception()).__name__)
            self._leave(key, task, heard=False)

    def _leave(self, key: Hashable, task: asyncio.Task[Result], *, heard: bool) -> None:
        if heard or task.cancelled():
            self._forget(key, task)
        elif key not in self._waiting:
            asyncio.get_running_loop().call_later(self._kept_seconds, self._forget, key, task)

    def _forget(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
