"""One model's loop in one worker: a thread that takes requests and answers them, started anew when Kafka fails it."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog
from confluent_kafka import KafkaException

from hotswap_stream.kafka.leave_group import leave_group
from hotswap_stream.workers.inference.loop.life import LoopLife
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.requests.quarantine import Quarantine

_log = structlog.get_logger(__name__)

RESTART_SECONDS = 0.5
RESTART_SECONDS_MAX = 5.0
"""The longest pause after lives that ended with nothing answered; each is twice as long as the one before."""
HAND_OVER_SECONDS_MAX = 5.0
"""How long a worker that ends waits for others to be given its partitions."""
END_SECONDS_MAX = 6.0
"""How long the handing over and the leaving of the group may take together."""


class ModelLoop:
    """Answer the requests of one model in the partitions that this worker is given.

    The loop heals itself when Kafka, a request or our own code fails it.
    """

    def __init__(self, parts: LoopParts) -> None:
        self._quarantine = Quarantine(parts.model_name)
        self._parts = parts
        self._stopping = threading.Event()
        self._leaving = threading.Event()
        self._left_until_s = 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"loop-{parts.model_name}")

    def request_stop(self) -> None:
        """Make `run` hand the partitions over to others, commit, leave the group, and return. In the event loop.

        The partitions are answered until others have them, but for no longer than `HAND_OVER_SECONDS_MAX`.
        """
        loop = asyncio.get_running_loop()
        self._leaving.set()
        self._left_until_s = loop.time() + END_SECONDS_MAX
        loop.call_later(HAND_OVER_SECONDS_MAX, self._stopping.set)

    async def run(self) -> None:
        """Answer until `request_stop`. A life that ends by an error is followed by another one, whatever it was."""
        loop = asyncio.get_running_loop()
        pause_s = RESTART_SECONDS
        try:
            while not self._leaving.is_set():
                life = LoopLife(self._parts, loop, self._stopping, self._quarantine, self._leaving)
                try:
                    await loop.run_in_executor(self._thread, life.run)
                except Exception as error:  # noqa: BLE001  # one model's trouble must not end all others
                    if self._leaving.is_set():
                        _log.warning("model_loop_cut_short", model_name=self._parts.model_name, error=str(error))
                        break
                    self._say(error)
                    self._parts.signs.ended(error)
                    self._parts.host.on_partitions(())
                    pause_s = RESTART_SECONDS if life.answered.any else min(2 * pause_s, RESTART_SECONDS_MAX)
                    await self._pause(pause_s)
            # A static member that only goes quiet keeps its partitions until its session ends.
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._left_until_s):
                    await leave_group(self._parts.config.client_options, self._parts.group, self._parts.config.worker)
            self._parts.host.on_partitions(())
        finally:
            self._stopping.set()
            self._thread.shutdown(wait=False)

    def _say(self, error: Exception) -> None:
        if isinstance(error, KafkaException):
            _log.error("model_loop_restarted", model_name=self._parts.model_name, error=str(error))
        else:
            _log.error("model_loop_restarted", model_name=self._parts.model_name, error=repr(error), exc_info=error)

    async def _pause(self, seconds: float) -> None:
        until_s = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until_s and not self._leaving.is_set():
            await asyncio.sleep(min(seconds, RESTART_SECONDS))
