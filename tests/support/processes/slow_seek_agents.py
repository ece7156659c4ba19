"""The agents' process with a Faust that takes its time between going back to the committed offsets and going on.

That is the window in which it used to fetch records and then clear them away; half a second makes a rare race certain.
"""

import asyncio
import os
import sys

from faust.transport.consumer import Consumer

from tests.support.processes.agents import main

SECONDS = 0.5
_perform_seek = Consumer.perform_seek


async def _slow_perform_seek(consumer: Consumer) -> None:
    await _perform_seek(consumer)
    await asyncio.sleep(SECONDS)


if __name__ == "__main__":
    Consumer.perform_seek = _slow_perform_seek  # type: ignore[assignment,method-assign]
    os._exit(asyncio.run(main(*sys.argv[1:])))
