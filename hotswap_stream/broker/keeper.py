"""Keeps an embedded broker running: what ended unasked is started again on the same ports and data."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import structlog

from hotswap_stream.broker.disk import DiskWatch, FreeBytes, free_bytes
from hotswap_stream.broker.embedded import EmbeddedKafka
from hotswap_stream.broker.errors import BrokerError, BrokerLostError, BrokerStartError, DiskFullError
from hotswap_stream.broker.node import KafkaNode, NodeDiedError, wait_until_ready
from hotswap_stream.home.broker_condition import BrokerCondition
from hotswap_stream.restart_pace import RestartPace

_log = structlog.get_logger(__name__)

FAILED_STARTS_MAX = 10
"""Failed starts in a row, for any reason but a full disk; after that the broker is given up."""
_WATCH_SECONDS = 0.2
_DISK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class KeeperPace:
    """How soon a broker is started again.

    A full disk is waited for without end, with a look after each longest pause.
    """

    per_minute_max: int = 10
    seconds_first: float = 0.2
    seconds_max: float = 10.0
    start_seconds_max: float = 60.0


class BrokerKeeper:
    """Watches the nodes of a started cluster; `tell` hears of each change. Stop it before the cluster is stopped.

    Whoever kills a node to try something must do so without a keeper.
    """

    def __init__(
        self,
        kafka: EmbeddedKafka,
        tell: Callable[[BrokerCondition], None],
        *,
        pace: KeeperPace | None = None,
        read_free_bytes: FreeBytes = free_bytes,
    ) -> None:
        self._kafka = kafka
        self._tell = tell
        self._limits = pace or KeeperPace()
        self._pace = RestartPace(
            per_minute_max=self._limits.per_minute_max,
            seconds_first=self._limits.seconds_first,
            seconds_max=self._limits.seconds_max,
        )
        self._disk = DiskWatch(kafka.folder, needed_bytes=kafka.disk_free_bytes_min, read=read_free_bytes)
        self._disk_looked_s = float("-inf")
        self._condition = BrokerCondition(since_s=time.time())

    @property
    def condition(self) -> BrokerCondition:
        """Return how the broker is now."""
        return self._condition

    async def wait_serving(self) -> bool:
        """Wait until the broker serves, and return whether it did so all along."""
        all_along = True
        while self._condition.state != "serving" or any(node.pid is None for node in self._kafka.nodes):
            all_along = False
            await asyncio.sleep(_WATCH_SECONDS)
        return all_along

    async def run(self) -> None:
        """Keep the broker until cancelled. Raise BrokerLostError, which says why, when it cannot be kept."""
        while True:
            self._look_at_disk()
            ended = [node for node in self._kafka.nodes if node.pid is None]
            if ended:
                await self._bring_back(ended)
            else:
                await asyncio.sleep(_WATCH_SECONDS)

    def _look_at_disk(self) -> None:
        now_s = time.monotonic()
        if now_s - self._disk_looked_s < _DISK_SECONDS:
            return
        self._disk_looked_s = now_s
        self._disk.look(now_s)
        if bool(self._disk.warning) != bool(self._condition.disk_warning):
            self._set("serving", disk_warning=self._disk.warning)

    async def _bring_back(self, ended: Sequence[KafkaNode]) -> None:
        began_s, failures = time.monotonic(), 0
        why: BrokerError = ended[0].why_it_ended()
        for node in ended:
            await node.withdraw()
        while True:
            await self._wait_for_room(why)
            delay_s = self._pace.next_delay(time.monotonic())
            if isinstance(why, DiskFullError):
                # As a quota does it: there is room on the disk, but not for us. It may pass at any time.
                delay_s = self._limits.seconds_max if delay_s is None else delay_s
            elif delay_s is None or failures >= FAILED_STARTS_MAX:
                raise BrokerLostError(f"the embedded broker ends again and again, the last time like this: {why}")
            await asyncio.sleep(delay_s)
            try:
                for node in ended:
                    node.launch()
                await wait_until_ready(ended, {node.node_id for node in ended}, self._limits.start_seconds_max)
            except (BrokerError, OSError) as error:
                for node in ended:
                    await node.kill()
                why = error if isinstance(error, BrokerError) else BrokerStartError(f"it cannot be started: {error}")
                failures += 1
                continue
            seconds = time.monotonic() - began_s
            _log.warning("broker_started_again", seconds=round(seconds, 1), failed_starts=failures)
            self._set("serving", disk_warning=self._disk.warning, restarts=self._condition.restarts + 1)
            return

    async def _wait_for_room(self, why: BrokerError) -> None:
        """Say why the broker is away, and return when the disk has the room that a start needs."""
        because, waited = str(why).partition("\n")[0], False
        while self._disk.look(time.monotonic()) < self._kafka.disk_free_bytes_min:
            if not waited:
                self._set("away", because=self._disk.full)
            waited = True
            await asyncio.sleep(_DISK_SECONDS)
        killed = isinstance(why, NodeDiedError) and why.exit_code == -signal.SIGKILL
        if waited or (self._disk.was_full and not killed):
            because = self._disk.was_full or because
        self._set("away", because=because)

    def _set(
        self,
        state: Literal["serving", "away"],
        *,
        because: str = "",
        disk_warning: str = "",
        restarts: int | None = None,
    ) -> None:
        former = self._condition
        self._condition = BrokerCondition(
            state=state,
            since_s=former.since_s if state == former.state else time.time(),
            because=because,
            disk_warning=disk_warning,
            restarts=former.restarts if restarts is None else restarts,
        )
        if self._condition == former:
            return
        if state == "away" and former.state != "away":
            _log.error("broker_away", because=because)
        elif disk_warning and not former.disk_warning:
            _log.warning("broker_disk_nearly_full", warning=disk_warning)
        self._tell(self._condition)
