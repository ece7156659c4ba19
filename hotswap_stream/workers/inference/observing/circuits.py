"""What the answers of one model say about its circuits: from each batch to the commands that the registry gets."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from hotswap_events.commands import AnyCommand
from hotswap_stream.application.own_commands import as_own
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.errors import HotswapError
from hotswap_stream.workers.inference.batches.computed import ComputedBatch

_log = structlog.get_logger(__name__)

DUE_SECONDS = 0.5


class CircuitWatch:
    """Tell the registry what answers say of circuits. `observe` from the loop's thread, all else in the event loop."""

    def __init__(
        self,
        guard: CircuitGuard,
        registry: Registry,
        loop: asyncio.AbstractEventLoop,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._guard = guard
        self._registry = registry
        self._loop = loop
        self._spawn = spawn

    def observe(self, batch: ComputedBatch) -> None:
        """Count a batch that was answered."""
        latency_ms_max = self._guard.latency_ms_max
        now_s = time.monotonic()
        for group in batch.groups:
            # What the input is to blame for says nothing of the version.
            chosen = group.chosen
            answers, errors = len(chosen.requests) - len(group.by_input), group.version_failures
            if chosen.probes and group.by_input:
                self._guard.probes_lost(len(group.by_input), chosen.lease.model_version)
            if not answers:
                continue
            too_slow = latency_ms_max is not None and group.compute_ms > latency_ms_max
            command = self._guard.observe(
                chosen.lease.model_version,
                answers=answers,
                errors=errors,
                slow=answers - errors if too_slow else 0,
                now_s=now_s,
                probes=chosen.probes,
            )
            if command is not None:
                self._loop.call_soon_threadsafe(self._say, command)

    async def watch(self) -> None:
        """Say what is due by time, until cancelled."""
        while True:
            await asyncio.sleep(DUE_SECONDS)
            for command in self._guard.due(time.monotonic()):
                self._say(command)

    def _say(self, command: AnyCommand) -> None:
        self._spawn(self._handle(command))

    async def _handle(self, command: AnyCommand) -> None:
        try:
            result = await self._registry.handle(as_own(command))
        except HotswapError as error:
            # The guard says it again as long as it holds.
            _log.warning("circuit_command_failed", model_name=command.model_name, error=str(error))
            return
        _log.info("circuit_command", command_id=command.command_id, status=result.status, refusal=result.refusal)
