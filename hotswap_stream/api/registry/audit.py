"""The registry log as a file whose seals tell what was changed, and what somebody knows of an audit's findings."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated

from litestar import get, post
from litestar.params import JSONBody
from litestar.response import Stream
from msgspec import Meta, Struct

from hotswap_events.bounds import INT64_MAX
from hotswap_events.commands import Reason
from hotswap_events.log_stream import FindingAcknowledged
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.commands.context import Headers
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.broker_away import require_broker
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.audit.audit import NothingFoundError, acknowledge, exported_lines, verify_log
from hotswap_stream.application.audit.export import ExportWriter

EXPORTS_AT_ONCE_MAX = 4
CHUNK_BYTES = 65_536


class AcknowledgeFindingBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which finding somebody knows of."""

    offset: Annotated[int, Meta(ge=0, le=INT64_MAX)]
    digest: Annotated[str, Meta(min_length=1, max_length=64)]
    """The digest of the record there, or its first 12 characters; `none` where no record is."""
    reason: Reason | None = None
    """What they say of it; kept in the log."""


@get(
    "/api/log/export",
    operation_id="export_log",
    tags=["events"],
    media_type="application/x-ndjson",
    responses=QUERY_PROBLEM_RESPONSES,
)
async def get_export(runtime: Runtime) -> Stream:
    """The whole log, one sealed JSON line per record, to be kept or checked anywhere with `audit verify FILE`.

    An export that broke off lacks its last line, and every check of it says so.
    """
    if runtime.exports_under_way >= EXPORTS_AT_ONCE_MAX:
        reason = f"{EXPORTS_AT_ONCE_MAX} exports are being sent, and no more are at once; try again later"
        raise ProblemError(503, "busy", reason, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    end_offset = runtime.registry.fold.next_offset
    return Stream(_chunks(runtime, end_offset), media_type="application/x-ndjson")


async def _chunks(runtime: ApiRuntime, end_offset: int) -> AsyncIterator[bytes]:
    """Yield the lines together, so that others have their turn between them."""
    runtime.exports_under_way += 1
    try:
        log, waiting = runtime.registry.log, bytearray()
        async with aclosing(exported_lines(log, end_offset, ExportWriter())) as lines:  # type: ignore[type-var]
            async for line in lines:
                waiting += line
                if len(waiting) >= CHUNK_BYTES:
                    yield bytes(waiting)
                    waiting.clear()
        yield bytes(waiting)
    finally:
        runtime.exports_under_way -= 1


@post(
    "/api/log/acknowledge",
    status_code=200,
    operation_id="acknowledge_finding",
    opt=needs("admin"),
    tags=["events"],
    guards=[guard_state_change],
    security=KEY_OR_NONE,
    responses=PROBLEM_RESPONSES,
)
async def acknowledge_finding(
    runtime: Runtime, command_headers: Headers, data: JSONBody[AcknowledgeFindingBody]
) -> FindingAcknowledged:
    """Write into the log that somebody knows of what an audit finds: it is listed from then on, and fails no audit."""
    require_broker(runtime)
    report = await runtime.aside.run(verify_log)
    try:
        return await acknowledge(
            runtime.registry,
            offset=data.offset,
            digest=data.digest,
            actor=command_headers.actor,
            reason=data.reason,
            command_id=command_headers.idempotency_key or runtime.services.ids.new_id(),
            report=report,
        )
    except NothingFoundError as error:
        raise ProblemError(404, "unknown-finding", str(error)) from error
