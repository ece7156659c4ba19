"""Whether this server can answer, and whether the models' requests get on."""

import asyncio
import math
import time

from hotswap_stream.api.protocol.broker_away import why_away
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.errors import LogUnavailableError

DEGRADED_MAX = 100
READY_AGE_SECONDS_MAX = 0.25
READY_SECONDS_MAX = 2.0
"""How long the log may take to tell its end and deliver what is before it."""


def followed(runtime: ApiRuntime) -> bool:
    """Return whether the log is followed here and the broker is not known to be away. Asks nobody."""
    return runtime.registry.healthy and why_away(runtime) is None


async def missing_for_readiness(runtime: ApiRuntime) -> tuple[str, ...]:
    """Return what keeps the registry here from being followed and up to date; nothing when it is ready."""
    missing = await _missing(runtime)
    runtime.was_ready_s = -math.inf if missing else time.monotonic()
    return missing


async def missing_lately(runtime: ApiRuntime) -> tuple[str, ...]:
    """Return the same, without asking the log again where it was ready a moment ago and is followed still.

    To ask the log takes longer than all the rest of a status.
    """
    if followed(runtime) and time.monotonic() - runtime.was_ready_s < READY_AGE_SECONDS_MAX:
        return ()
    return await missing_for_readiness(runtime)


async def _missing(runtime: ApiRuntime) -> tuple[str, ...]:
    if away := why_away(runtime):
        return (away,)
    registry = runtime.registry
    try:
        registry.check_followed()
    except LogUnavailableError as error:
        return (str(error),)
    end_offset: int | None = None
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            end_offset = await registry.log.end_offset()
            await registry.catch_up()
    except LogUnavailableError as error:
        return (str(error),)
    except TimeoutError:
        if end_offset is None:
            return (f"the registry log did not answer within {READY_SECONDS_MAX} s",)
        behind = end_offset - registry.fold.next_offset
        return (f"the registry is {behind} records behind the log's end at offset {end_offset}",)
    obstacle = registry.log.obstacle()
    return () if obstacle is None else (obstacle,)


async def require_ready(runtime: ApiRuntime) -> None:
    """Raise ProblemError (503) with the reason while commands and queries have no up-to-date fold to answer from."""
    missing = await missing_for_readiness(runtime)
    if missing:
        raise ProblemError(503, "not-ready", "; ".join(missing), headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def degraded(runtime: ApiRuntime) -> tuple[str, ...]:
    """Return the models whose requests stand still, each with the reason; at most `DEGRADED_MAX`."""
    return tuple(
        f"model {model_name!r}: {reason}"
        for model_name in sorted(runtime.registry.fold.streams)
        for reason in troubles(runtime, model_name)
    )[:DEGRADED_MAX]


def troubles(runtime: ApiRuntime, model_name: str) -> tuple[str, ...]:
    """Return why live workers do not get on with the requests of a model, by their own account."""
    fleet = runtime.services.fleet
    if fleet is None or not fleet.known:
        return ()
    return tuple(
        f"worker {worker.worker!r}: {worker.trouble}"
        for worker in fleet.workers(model_name)
        if worker.live and worker.trouble is not None
    )
