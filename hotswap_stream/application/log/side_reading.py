"""The registry log, read in the side loop by a reader of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.application.processes.side_loop import SideLoop

_Result = TypeVar("_Result")


class SideReading:
    """Opens the reader with the first work; one that could not be opened is opened with the next."""

    def __init__(self, log: RegistryLog, side: SideLoop) -> None:
        self._log = log
        self._side = side
        self._reader: RegistryLog | None = None
        self._opening = asyncio.Lock()

    async def run(self, work: Callable[[RegistryLog], Awaitable[_Result]]) -> _Result:
        """Do the work in the side loop with a reader of the log.

        Args:
            work: Called in the side loop with the started reader.

        Returns:
            What the work returned.

        Raises:
            LogUnavailableError: The reader cannot be opened.
        """
        reader = await self._opened()
        return await self._side.run(lambda: work(reader))

    async def _opened(self) -> RegistryLog:
        async with self._opening:
            if self._reader is None:
                self._reader = await self._side.run(self._open)
            return self._reader

    async def _open(self) -> RegistryLog:
        reader = self._log.reader()
        await reader.start()
        self._side.call_at_end(reader.stop)
        return reader
