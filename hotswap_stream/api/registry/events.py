"""The event log, page by page."""

from typing import Annotated

from litestar import Request, Response, get
from litestar.params import QueryParameter
from msgspec import Struct

from hotswap_events.bounds import INT64_MAX
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.queries.paging import link_to, next_page
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.registry.feed import PAGE_ENTRIES_MAX, EntryFilter, LogEntry

OF_A_MODEL = needs("read", model_in_query=True)

FromOffset = Annotated[int | None, QueryParameter(ge=0, le=INT64_MAX, description="First offset; default 0.")]
Last = Annotated[
    int | None,
    QueryParameter(
        ge=1,
        le=PAGE_ENTRIES_MAX,
        description="Return the last entries instead: this number of those that the filters let through.",
    ),
]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_ENTRIES_MAX, description="Entries in a page at most.")]
ModelName = Annotated[str | None, QueryParameter(description="Only events of this model.")]
EventType = Annotated[
    str | None,
    QueryParameter(name="type", description="Only this type: 'hotswap.model.promoted.v1', or 'promoted' for short."),
]
Actor = Annotated[str | None, QueryParameter(max_length=200, description="Only what this actor did.")]
Words = Annotated[
    str | None,
    QueryParameter(
        name="text",
        min_length=1,
        max_length=200,
        description="Only events with these words anywhere in them, in capitals or not.",
    ),
]
OnlyVoid = Annotated[
    bool | None,
    QueryParameter(
        name="void", description="true: only records that count for no reader; false: only those that count."
    ),
]
BeforeOffset = Annotated[
    int | None,
    QueryParameter(
        ge=0, le=INT64_MAX, description="The last entries before this offset, instead of those from one on."
    ),
]


class EventLogPage(Struct, frozen=True, kw_only=True):
    """Entries in log order; those with `void_because` count for no reader."""

    events: tuple[LogEntry, ...]
    first_offset: int
    """From where on it was looked: send it as `before_offset` for the page before this one."""
    next_offset: int
    end_offset: int
    """The offset that the log's next record will get."""
    next: str | None
    """Where the next page is; none behind the last record."""


@get("/api/events", operation_id="list_events", tags=["events"], opt=OF_A_MODEL, responses=QUERY_PROBLEM_RESPONSES)
async def list_events(
    request: Request[object, object, object],  # type: ignore[type-var]
    runtime: Runtime,
    from_offset: FromOffset = None,
    last: Last = None,
    limit: Limit = 100,
    model_name: ModelName = None,
    event_type: EventType = None,
    before_offset: BeforeOffset = None,
    actor: Actor = None,
    text: Words = None,
    void: OnlyVoid = None,
) -> Response[EventLogPage]:
    """A page of the registry log: who did what, when, why. Follow `next` for more."""
    if sum(each is not None for each in (from_offset, last, before_offset)) > 1:
        raise ProblemError(
            422, "invalid-value", "from_offset, last and before_offset exclude each other: send one of them"
        )
    wanted = EntryFilter(model_name=model_name, event_type=event_type, actor=actor, text=text, void=void)
    if before_offset is not None:
        page = await runtime.feed.page_before(before_offset, limit=limit, wanted=wanted)
    else:
        start = from_offset or 0
        if last is not None:
            # Counted are those that are wanted, not all records.
            newest = await runtime.feed.page_before(runtime.feed.end_offset, limit=last, wanted=wanted)
            start = newest.first_offset
        page = await runtime.feed.page(start, limit=limit, wanted=wanted)
    following = None
    if not page.at_end:
        following = next_page(request, without=("last", "before_offset"), from_offset=page.next_offset)
    return Response(
        EventLogPage(
            events=page.entries,
            first_offset=page.first_offset,
            next_offset=page.next_offset,
            end_offset=page.end_offset,
            next=following,
        ),
        headers=link_to(following),
    )
