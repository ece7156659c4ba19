"""A second event loop, in a thread of its own, for what reads long histories: the loop that serves goes on meanwhile.

Threads of Python take turns, and one that computes on and on keeps the others waiting a while each time. So whatever
runs here gives its turn away each time it lets the loop go round, with `await asyncio.sleep(0)`.
"""

import asyncio
import selectors
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hotswap_stream.errors import HotswapError

GIVEN_AWAY_SECONDS = 0.000_1
"""Each time round. Long enough for the system to wake whoever waits for the interpreter."""
SWITCH_SECONDS = 0.001
"""What computes here without letting the loop go round keeps others waiting for so long; Python's own is five times
that."""
STOP_SECONDS_MAX = 10.0

_Result = TypeVar("_Result")


class SideLoopClosedError(HotswapError):
    """The server is stopping."""


class _GivingSelector(selectors.DefaultSelector):
    """The selector of a loop that always has more to do."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            time.sleep(GIVEN_AWAY_SECONDS)
        return super().select(timeout)


class SideLoop:
    """Starts with the first work that is given to it. `close` it where it was made."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._at_end: list[Callable[[], Awaitable[object]]] = []
        self._closed = False

    def call_at_end(self, closing: Callable[[], Awaitable[object]]) -> None:
        """Close what was opened there there, last things first."""
        self._at_end.append(closing)

    async def run(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do the work there; cancelling this cancels it.

        Raises:
            SideLoopClosedError: The loop was closed.
        """
        if self._closed:
            raise SideLoopClosedError("the server is stopping")
        return await self._run(work)

    async def _run(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        async def there() -> _Result:
            return await work()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), self._started()))

    async def close(self) -> None:
        """End what runs there, and the thread."""
        self._closed = True
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        await self._run(self._end)
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join, STOP_SECONDS_MAX)

    async def _end(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.wait([asyncio.ensure_future(self._close_all()), *running], timeout=STOP_SECONDS_MAX)

    async def _close_all(self) -> None:
        for closing in reversed(self._at_end):
            await closing()

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.SelectorEventLoop(_GivingSelector())
            self._thread = threading.Thread(target=self._turn, args=(self._loop,), name="side-loop", daemon=True)
            self._thread.start()
        return self._loop

    @staticmethod
    def _turn(loop: asyncio.AbstractEventLoop) -> None:
        before = sys.getswitchinterval()
        sys.setswitchinterval(min(before, SWITCH_SECONDS))
        try:
            loop.run_forever()
        finally:
            loop.close()
            sys.setswitchinterval(before)
