"""The event log as server-sent events: from the log first, then as they come.

A client reads at its own speed and costs no queue: older records come from the log, newer ones from the registry's
memory. One that had caught up and then falls out of that memory is told so and let go; it can come back with
`Last-Event-ID`. One that takes nothing at all is cut off.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Request, get
from litestar.middleware import ASGIMiddleware
from litestar.params import HeaderParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from hotswap_stream.api.access.callers import address_of, still_valid
from hotswap_stream.api.access.scopes import check_scope
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.event_stream_places import NoPlaceError, Place
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.registry.events import OF_A_MODEL, EventType, FromOffset, ModelName
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.registry.feed import EntryFilter
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

PAGE_ENTRIES = 200
RETRY_AFTER_SECONDS = 5
RECONNECT_MS = 2_000
PLACE = "event_stream_place"

LastEventId = Annotated[
    str | None,
    HeaderParameter(
        name="Last-Event-ID",
        description="Go on after this offset; browsers send it.",
        schema_extra={"pattern": "^[0-9]{1,18}$"},
    ),
]


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Data of the last message, of the event `end`."""

    reason: str
    next_offset: int
    """Where to go on: as `from_offset`, or one less as `Last-Event-ID`."""


class EventStreamLimits(ASGIMiddleware):
    """Gives each client of the event stream a place, and cuts off one that takes nothing."""

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let one client in for as long as its stream lasts. ProblemError (503) where there is no place."""
        runtime: ApiRuntime = scope["litestar_app"].state.runtime
        services = runtime.services
        # Before the guard, which comes after all middleware: nobody without a key takes a place from others.
        caller = check_scope(runtime, scope, ("read",))
        try:
            place = runtime.event_stream_places.take(caller.name or address_of(scope), known=caller.name is not None)
        except NoPlaceError as error:
            raise ProblemError(
                503,
                "too-many-clients",
                f"{error}; page through /api/events, or try again",
                headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            ) from error

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(services.send_seconds_max):
                await send(message)

        scope["state"][PLACE] = place
        try:
            await next_app(scope, receive, send_in_time)
        except* TimeoutError:
            _log.warning("event_stream_client_stalled", seconds=services.send_seconds_max)
        finally:
            runtime.event_stream_places.leave(place)


async def log_messages(
    runtime: ApiRuntime,
    position: int,
    wanted: EntryFilter,
    given_up: asyncio.Event,
    permitted: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[ServerSentEventMessage, None]:
    """Yield the messages of one client from an offset on, until the server stops or the client is too slow."""
    feed, caught_up = runtime.feed, False
    yield ServerSentEventMessage(comment=f"from offset {position}", data=None, retry=RECONNECT_MS)
    while not runtime.stopping:
        if given_up.is_set():
            yield _end("other clients need this place, and you have more than they; come back later", position)
            return
        if not permitted():
            yield _end("the API key is no longer valid", position)
            return
        if caught_up and position < feed.memory_starts_at:
            behind = feed.end_offset - position
            yield _end(f"you are too slow: {behind} records behind; come back with Last-Event-ID", position)
            return
        try:
            page = await feed.page(position, limit=PAGE_ENTRIES, wanted=wanted)
        except HotswapError as error:
            yield _end(str(error), position)
            return
        for entry in page.entries:
            yield ServerSentEventMessage(id=entry.offset, data=msgspec.json.encode(entry))
        position = page.next_offset
        if position < feed.end_offset:
            continue
        caught_up = True
        try:
            async with asyncio.timeout(runtime.services.heartbeat_seconds):
                await runtime.wait_for_change(given_up)
        except TimeoutError:
            yield ServerSentEventMessage(comment="heartbeat", data=None)
        except HotswapError as error:
            yield _end(str(error), position)
            return
    yield _end("the server is stopping", position)


def _end(reason: str, next_offset: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(
        event="end", data=msgspec.json.encode(StreamEnd(reason=reason, next_offset=next_offset))
    )


@get(
    "/api/events/stream",
    operation_id="stream_events",
    tags=["events"],
    opt=OF_A_MODEL,
    media_type="text/event-stream",
    middleware=[EventStreamLimits()],
    responses=QUERY_PROBLEM_RESPONSES,
)
async def stream_events(
    request: Request[Any, Any, Any],
    runtime: Runtime,
    from_offset: FromOffset = None,
    last_event_id: LastEventId = None,
    model_name: ModelName = None,
    event_type: EventType = None,
) -> ServerSentEvent:
    """Each record of the log as a message: `id` is its offset, `data` as in /api/events. Without `from_offset` and
    `Last-Event-ID` it starts with the next record. The last message, of the event `end`, says why it ends.
    """
    position = runtime.feed.end_offset if from_offset is None else from_offset
    if last_event_id is not None:
        if not last_event_id.isascii() or not last_event_id.isdigit() or len(last_event_id) > 18:
            raise ProblemError(422, "invalid-value", f"Last-Event-ID {last_event_id[:100]!r} is not an offset")
        position = int(last_event_id) + 1
    wanted = EntryFilter(model_name=model_name, event_type=event_type)
    place: Place = request.state[PLACE]
    return ServerSentEvent(
        log_messages(runtime, position, wanted, place.given_up, lambda: still_valid(runtime, request.scope))
    )
