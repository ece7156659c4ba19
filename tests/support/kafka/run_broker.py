"""The broker of a process that runs tests: started when the first test asks for it, and ended with the process.

One for all processes of pytest-xdist was tried: with the topics of a whole run on it, thousands, every client that asks
about topics got slower from test to test.
"""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hotswap_stream.broker import EmbeddedKafka


class RunBroker:
    """Start a broker at most once."""

    def __init__(self) -> None:
        self._broker: EmbeddedKafka | None = None

    def servers(self) -> str:
        """Return the bootstrap servers of a broker that runs. Raise what keeps it from starting."""
        if self._broker is None:
            broker = EmbeddedKafka()
            _aside(broker.start())
            self._broker = broker
        return self._broker.bootstrap_servers

    def close(self) -> None:
        """End the broker, if it was started."""
        if self._broker is not None:
            _aside(self._broker.stop())
            self._broker = None


def _aside(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a thread of its own: pytest-asyncio owns this one's event loop, and tests without one ask too."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()
