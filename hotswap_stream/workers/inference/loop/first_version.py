"""Waiting for a model's first version: it was perhaps promoted and not read here yet, or it is being loaded."""

import asyncio
from concurrent.futures import Future

from hotswap_stream.workers.inference.loop.parts import LoopParts

TURN_SECONDS = 0.02


class FirstVersion:
    """Say whether requests can be given to a model, or to the error that none is there. For the thread of a life.

    The loop goes on meanwhile with all that is not a request: the group, commits, partitions.
    """

    def __init__(self, parts: LoopParts, loop: asyncio.AbstractEventLoop) -> None:
        self._parts = parts
        self._loop = loop
        self._decided: Future[None] | None = None

    def there(self) -> bool:
        """Return whether a version serves, or it is clear that none will."""
        slots = self._parts.slots
        if slots.current is not None or slots.refused is not None:
            self.close()
            return True
        if self._decided is None:
            self._decided = asyncio.run_coroutine_threadsafe(self._parts.host.version_decided(), self._loop)
        if not self._decided.done():
            self._parts.signs.rest()
            return False
        decided, self._decided = self._decided, None
        decided.result()
        return True

    def close(self) -> None:
        """Wait for none any more."""
        if self._decided is not None:
            self._decided.cancel()
            self._decided = None
