"""An inference worker inside the test, on the real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hotswap_stream import bootstrap
from hotswap_stream.application.swap.loader import ModelLoader
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.worker import InferenceWorker
from tests.support.stages.serving import MODEL


@asynccontextmanager
async def running_worker(
    settings: Settings, name: str = "w1", *, wrap: Callable[[ModelLoader], ModelLoader] | None = None
) -> AsyncIterator[InferenceWorker]:
    """Run a worker until the block ends; `wrap` puts something of the test's own around its loader."""
    worker = await bootstrap.build_worker(settings, name)
    if wrap is not None:
        worker._loader = wrap(worker._loader)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@asynccontextmanager
async def watched_worker(settings: Settings, name: str) -> AsyncIterator[InferenceWorker]:
    """Run a worker as its process does: with all that it watches over; fail when it ended by itself."""
    worker = await bootstrap.build_worker(settings, name)
    await worker.start()
    running = asyncio.create_task(worker.run())
    try:
        yield worker
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await worker.stop()


async def until_loaded(worker: InferenceWorker, *versions: str, seconds_max: float = 60.0) -> None:
    """Wait until the worker has loaded these: a version is blamed for a failure only when another can bear witness."""
    async with asyncio.timeout(seconds_max):
        while True:
            served = worker._served.get(MODEL)
            states = {} if served is None else served.slots.states()
            if all(name in states and states[name].state in ("loaded", "serving") for name in versions):
                return
            await asyncio.sleep(0.01)
