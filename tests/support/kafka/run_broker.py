"""The broker of a process that runs tests: started when the first test asks for it, and ended with the process.

One for all processes of pytest-xdist was tried: with the topics of a whole run on it, thousands, every client that asks
about topics got slower from test to test.
"""

import asyncio
import os
import shutil
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

from hotswap_stream.broker import BrokerError, EmbeddedKafka
from hotswap_stream.broker.node import KafkaNode

MEMORY = Path("/dev/shm")
FREE_BYTES_MIN = 4 * 1024**3
"""What must be left, of the machine's memory and of its file system there. A whole run writes less than a tenth."""
START_SECONDS_MAX = 300.0
"""A broker uses three seconds of a processor to start, and has to share it with whatever else runs."""
_FOLDER = "hotswap-tests-"

# All brokers that tests start may take as long. One that ends is noticed at once.
EmbeddedKafka.__init__.__kwdefaults__ = {
    **(EmbeddedKafka.__init__.__kwdefaults__ or {}),
    "start_timeout_s": START_SECONDS_MAX,
}
KafkaNode.start.__defaults__ = (START_SECONDS_MAX,)


class RunBroker:
    """Start a broker at most once.

    Its data is in memory where there is room: Kafka syncs three files of each new partition to the disk, and tests make
    thousands of partitions.
    """

    def __init__(self) -> None:
        self._broker: EmbeddedKafka | None = None
        self._folder: Path | None = None

    def servers(self) -> str:
        """Return the bootstrap servers of a broker that runs. Raise what keeps it from starting."""
        if self._broker is None:
            self._folder = _folder_in_memory()
            broker = EmbeddedKafka(data_dir=self._folder)
            _aside(broker.start())
            self._broker = broker
        return self._broker.bootstrap_servers

    def close(self) -> None:
        """End the broker, if it was started."""
        if self._broker is not None:
            _aside(self._broker.stop())
            self._broker = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


class Preparation:
    """Fills this machine's caches of brokers, in a thread, while other processes still collect their tests.

    Otherwise, what makes starts quick is made beside the tests at the lowest priority: hardly ever, and begun anew
    beside each broker that ends before it is done.
    """

    def __init__(self) -> None:
        self._thread = Thread(target=self._run, name="broker-preparation", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when it is done, well or not."""
        self._thread.join()

    def _run(self) -> None:
        # Whatever is wrong, each test that needs a broker says it.
        with suppress(BrokerError, OSError):
            asyncio.run(EmbeddedKafka().prepare())


def _folder_in_memory() -> Path | None:
    """Return where this process's broker may keep its data in memory; None: on the disk."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        return None
    for left in MEMORY.glob(f"{_FOLDER}*"):
        # Of a run that was killed: its guard ended the broker, and nobody removed the data.
        number = left.name.removeprefix(_FOLDER)
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    free = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available)
    return MEMORY / f"{_FOLDER}{os.getpid()}" if free >= FREE_BYTES_MIN else None


def _aside(work: Coroutine[Any, Any, None]) -> None:
    """Run it in a thread of its own: pytest-asyncio owns this one's event loop, and tests without one ask too."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()
