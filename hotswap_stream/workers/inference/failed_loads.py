"""What becomes of a promoted version that does not load here: if it loads nowhere, it is rolled back by an event."""

import asyncio

import structlog

from hotswap_events.command import ACTOR_CHARACTERS_MAX
from hotswap_events.commands import RollBack
from hotswap_events.inference.fleet import LoadState
from hotswap_stream.application.own_commands import as_own
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.swap.load_failures import Waited, tried_by, wait_on
from hotswap_stream.application.swap.slot import LoadFailure
from hotswap_stream.domain.reserved import WORKER_ACTOR
from hotswap_stream.workers.inference.fleet import Fleet

_log = structlog.get_logger(__name__)

FLEET_POLL_SECONDS = 0.1


class FailedLoads:
    """Settle, for one worker, what becomes of versions that it cannot load."""

    def __init__(self, registry: Registry, fleet: Fleet, worker: str) -> None:
        self._registry = registry
        self._fleet = fleet
        self._worker = worker

    async def settle(self, model_name: str, failure: LoadFailure) -> None:
        """Roll a promoted version back that does not load here, if it loads nowhere in the fleet."""
        stream = self._registry.stream(model_name)
        if stream is None:
            return
        offset, active = stream.active_offset, stream.state.active
        if active is None or active.model_version != failure.model_version:
            return
        entered = active.production_sequences[-1]
        if not await self._loads_nowhere(model_name, failure.model_version, offset):
            return
        result = await self._registry.handle(
            as_own(
                RollBack(
                    command_id=f"load-failed:{model_name}:{failure.model_version}:{offset}",
                    actor=f"{WORKER_ACTOR}{self._worker}"[:ACTOR_CHARACTERS_MAX],
                    model_name=model_name,
                    reason=f"no worker can load {failure.model_version}: {failure.error}"[:2_000],
                    cause="load-failed",
                    from_version=failure.model_version,
                    # Of all workers that come to this end the first one is heard: then it is in production no more.
                    entered_sequence=entered,
                )
            )
        )
        _log.warning("load_failure_handled", model_name=model_name, status=result.status, refusal=result.refusal)

    async def _loads_nowhere(self, model_name: str, model_version: str, offset: int) -> bool:
        """Wait for the other live workers to have tried.

        Args:
            model_name: The model.
            model_version: Its version that was promoted and does not load here.
            offset: The registry offset of the promotion.

        Returns:
            Whether the version is still active and loads nowhere.
        """
        waited = Waited()
        while True:
            stream = self._registry.stream(model_name)
            if stream is None or stream.active_offset != offset:
                return False
            found = wait_on(waited, self._states(model_name, model_version, offset), FLEET_POLL_SECONDS)
            if not isinstance(found, Waited):
                return found == "loads-nowhere"
            waited = found
            await asyncio.sleep(FLEET_POLL_SECONDS)

    def _states(self, model_name: str, model_version: str, offset: int) -> list[LoadState | None] | None:
        others = self._fleet.others(model_name)
        return None if others is None else tried_by(others, self._fleet.fallen(model_name), model_version, offset)
