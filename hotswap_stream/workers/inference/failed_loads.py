"""What becomes of a promoted version that does not load here: if it loads nowhere, it is rolled back by an event."""

import asyncio

import structlog

from hotswap_events.commands import RollBack
from hotswap_events.fleet import HEARTBEAT_SECONDS
from hotswap_stream.application.own_commands import as_own
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.serving.guard import ACTOR_CHARACTERS_MAX
from hotswap_stream.application.swap.slot import LoadFailure
from hotswap_stream.domain.reserved import WORKER_ACTOR
from hotswap_stream.workers.inference.fleet import Fleet

_log = structlog.get_logger(__name__)

FLEET_POLL_SECONDS = 0.1
FLEET_SETTLED_SECONDS = 2 * HEARTBEAT_SECONDS
FLEET_LOAD_SECONDS_MAX = 120.0
"""How long a worker that cannot load a promoted version waits for the others to try."""


class FailedLoads:
    """Of one worker."""

    def __init__(self, registry: Registry, fleet: Fleet, worker: str) -> None:
        self._registry = registry
        self._fleet = fleet
        self._worker = worker

    async def settle(self, model_name: str, failure: LoadFailure) -> None:
        """The promoted version does not load here. If it loads nowhere in the fleet, roll it back by an event."""
        stream = self._registry.stream(model_name)
        if stream is None:
            return
        offset, active = stream.active_offset, stream.state.active
        if active is None or active.model_version != failure.model_version:
            return
        entered = active.production_sequences[-1]
        if await self._others_can_load(model_name, failure.model_version, offset):
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

    async def _others_can_load(self, model_name: str, model_version: str, offset: int) -> bool:
        """Wait for the other live workers to have tried; whether any of them serves it, or it is no longer active.

        While the fleet is not known, this waits: that nobody is heard says nothing then. That nobody can load it counts
        when it was so for `FLEET_SETTLED_SECONDS`, in which everybody who lives has spoken.
        """
        waited_s = failed_s = 0.0
        while True:
            stream = self._registry.stream(model_name)
            if stream is None or stream.active_offset != offset:
                return True
            others = self._fleet.others(model_name)
            if others is None:
                failed_s = 0.0
            else:
                states = [
                    None if other.registry_offset < offset else other.versions.get(model_version) for other in others
                ]
                if any(state is not None and state.state in ("loaded", "serving") for state in states):
                    return True
                all_failed = all(state is not None and state.state == "failed" for state in states)
                failed_s = failed_s + FLEET_POLL_SECONDS if all_failed else 0.0
                waited_s += FLEET_POLL_SECONDS
                if failed_s >= FLEET_SETTLED_SECONDS or waited_s >= FLEET_LOAD_SECONDS_MAX:
                    return False
            await asyncio.sleep(FLEET_POLL_SECONDS)
