"""Several API processes behind one port: each leaves what it counts, and answers the others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from hotswap_stream.api.monitoring.metrics import api_families
from hotswap_stream.api.monitoring.own_counts import own_counts
from hotswap_stream.api.monitoring.readiness import followed
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.home.api_members import ApiMember
from hotswap_stream.observability.server import MetricsServer

LEAVE_SECONDS = 1.0


@asynccontextmanager
async def among_members(runtime: ApiRuntime) -> AsyncIterator[None]:
    """Be one of several processes in the block, where this is one; else do nothing."""
    member = runtime.services.member
    if member is None:
        yield
        return
    server = MetricsServer(
        families=lambda: api_families(runtime),
        live=lambda: None,
        ready=lambda: None if followed(runtime) else "the registry log is not followed",
    )
    await server.start_here(member.socket)
    leaving = asyncio.create_task(_keep_leaving(member, runtime), name="leave-counts")
    try:
        yield
    finally:
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        member.leave(own_counts(runtime))
        await server.stop()


async def _keep_leaving(member: ApiMember, runtime: ApiRuntime) -> None:
    while True:
        member.leave(own_counts(runtime))
        await asyncio.sleep(LEAVE_SECONDS)
