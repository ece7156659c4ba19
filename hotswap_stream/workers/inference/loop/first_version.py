"""Waiting for a model's first version: it was perhaps promoted and not read here yet, or it is being loaded."""

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotswap_stream.workers.inference.loop.parts import LoopParts


def first_version_decided(
    parts: "LoopParts", loop: asyncio.AbstractEventLoop, stopping: threading.Event, turn: Callable[[], bool]
) -> bool:
    """Return True when a version serves, or it is clear that none does. `turn` is called until then; False when it
    says so, or after the stop. For a thread that is not that of `loop`."""
    decided = asyncio.run_coroutine_threadsafe(parts.version_decided(), loop)
    while not decided.done():
        if stopping.is_set() or not turn():
            decided.cancel()
            return False
    decided.result()
    return True
