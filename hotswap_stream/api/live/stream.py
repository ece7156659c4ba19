"""`GET /api/live`: state, events, what is answered and what rollouts show, as one stream of server-sent events."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream

from hotswap_stream.api.access.callers import caller_of, still_valid
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.event_stream_places import Place
from hotswap_stream.api.live.hub import LiveHub, message
from hotswap_stream.api.live.messages import LiveBeginning, LiveEnd, LiveMessages
from hotswap_stream.api.live.training import training_now
from hotswap_stream.api.monitoring.health import status_of
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.registry.event_stream import PLACE, EventStreamLimits, LastEventId
from hotswap_stream.api.registry.events import FromOffset
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.keys.access import Caller
from hotswap_stream.application.monitoring.overview import together
from hotswap_stream.application.registry.queries import list_models
from hotswap_stream.errors import HotswapError

RECONNECT_MS = 1_000
REPLAY_ENTRIES_MAX = 1_000
"""Missed events that come again; whoever missed more pages back through /api/events."""
PAGE_ENTRIES = 200
BYTES_AT_ONCE_MAX = 262_144
LOOK_SECONDS = 1.0
"""How often it is looked whether the key still is valid, and the server goes on."""


async def live_messages(
    runtime: ApiRuntime, hub: LiveHub, request: Request[Any, Any, Any], caller: Caller, from_offset: int | None
) -> AsyncGenerator[bytes, None]:
    """Yield the messages of one client, until the server stops, the key ends, or the client is too slow."""
    place: Place = request.state[PLACE]
    status = await status_of(runtime)
    await hub.join()
    try:
        number, end = hub.ring.next, runtime.registry.fold.next_offset
        begin = end if from_offset is None else max(min(from_offset, end), end - REPLAY_ENTRIES_MAX)
        yield b"retry: %d\n\n" % RECONNECT_MS + message(
            "beginning", _beginning(runtime, hub, caller, status, end), offset=end - 1 if begin == end and end else None
        )
        yield message("observed", hub.observed(caller))
        async for missed in _missed(runtime, caller, begin, end):
            yield missed
        while (reason := _ended(runtime, hub, request, place, number)) is None:
            moved = hub.ring.moved
            data, number = hub.ring.since(number, caller, BYTES_AT_ONCE_MAX)
            if data:
                yield data
            elif number == hub.ring.next:
                await _wait(moved)
        yield message("end", LiveEnd(reason=reason, next_offset=runtime.registry.fold.next_offset))
    except HotswapError as error:
        yield message("end", LiveEnd(reason=str(error), next_offset=runtime.registry.fold.next_offset))
    finally:
        await hub.leave()


def _beginning(runtime: ApiRuntime, hub: LiveHub, caller: Caller, status: Any, end: int) -> LiveBeginning:
    streams = {name: stream for name, stream in runtime.registry.fold.streams.items() if caller.may_on(name)}
    evidence = runtime.services.evidence
    shown = (
        evidence.latest(name, stream.state.rollout.rollout_id)
        for name, stream in streams.items()
        if evidence is not None and stream.state.rollout is not None
    )
    return LiveBeginning(
        offset=end,
        status=status,
        overview=together(hub.observed(caller).lines),
        models=list_models(streams),
        evidence=tuple(record for records in shown for record in records),
        training=training_now(runtime, streams),
    )


async def _missed(runtime: ApiRuntime, caller: Caller, begin: int, end: int) -> AsyncGenerator[bytes, None]:
    position = begin
    while position < end and not runtime.stopping:
        page = await runtime.feed.page(position, limit=min(PAGE_ENTRIES, end - position))
        for entry in page.entries:
            name = str((entry.event or {}).get("subject"))
            if entry.offset < end and (not caller.models or (entry.event is not None and caller.may_on(name))):
                yield message("event", entry, offset=entry.offset)
        position = page.next_offset


def _ended(runtime: ApiRuntime, hub: LiveHub, request: Request[Any, Any, Any], place: Place, number: int) -> str | None:
    """Return why the stream ends; None: it goes on."""
    if runtime.stopping:
        return "the server is stopping"
    if place.given_up.is_set():
        return "other clients need this place, and you have more than they; come back later"
    if not still_valid(runtime, request.scope):
        return "the API key is no longer valid"
    if number < hub.ring.first:
        return "you are too slow, or too much happened at once: come back with Last-Event-ID"
    return None


async def _wait(moved: asyncio.Event) -> None:
    """Wait for the next message, or until it is time to look whether the stream goes on."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await moved.wait()
    except TimeoutError:
        return


@get(
    "/api/live",
    operation_id="live_stream",
    tags=["events"],
    opt=needs("read", any_model=True),
    media_type="text/event-stream",
    middleware=[EventStreamLimits()],
    responses={
        200: ResponseSpec(
            LiveMessages,
            media_type="text/event-stream",
            generate_examples=False,
            description="Server-sent events; the schema names the data of each by its event's name",
        ),
        **QUERY_PROBLEM_RESPONSES,
    },
)
async def live_stream(
    request: Request[Any, Any, Any],
    runtime: Runtime,
    from_offset: FromOffset = None,
    last_event_id: LastEventId = None,
) -> Stream:
    """All that changes, as one stream.

    First what there is (`beginning`, `observed`), then each model after its events (`state`), the log's records
    (`event`, whose `id` is the offset), how models do (`observed`), what rollouts show (`evidence`),
    how far training runs are (`training`), and a `heartbeat`.
    With `Last-Event-ID` or `from_offset` up to 1,000 missed events come again. A key that is limited to
    models gets what is about those. The last message, `end`, says why it ends.
    """
    position = from_offset
    if last_event_id is not None:
        if not last_event_id.isascii() or not last_event_id.isdigit() or len(last_event_id) > 18:
            raise ProblemError(422, "invalid-value", f"Last-Event-ID {last_event_id[:100]!r} is not an offset")
        position = int(last_event_id) + 1
    runtime.registry.check_followed()
    return Stream(
        live_messages(runtime, request.app.state.live, request, caller_of(runtime, request.scope), position),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )
