"""Starting and stopping Kafka clients so that a cancelled caller leaves no connection open.

aiokafka forgets the connection it is about to make when `start` is cancelled, and closes nothing more when `stop` is.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def to_the_end(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Await `work`; if the caller is cancelled meanwhile, finish it first and be cancelled then."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as overlooked
        raise
