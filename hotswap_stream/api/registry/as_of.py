"""`as_of_offset` and `as_of_time`: every query may be asked of the past."""

from typing import Annotated, Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation

from hotswap_events.bounds import INT64_MAX
from hotswap_stream.api.access.callers import client_of
from hotswap_stream.api.protocol.parameters import time_of
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.registry.as_of import OffsetNotReachedError, TimeNotReachedError
from hotswap_stream.application.registry.queries import Streams

AsOfOffset = Annotated[
    int | None,
    QueryParameter(ge=0, le=INT64_MAX, description="The state after the record at this offset of the registry log."),
]
AsOfTime = Annotated[
    str | None,
    QueryParameter(
        description="The state at this time by the log's clock, RFC 3339 with time zone; '+' as '%2B'.",
        schema_extra={"format": "date-time"},
    ),
]

PastOrPresent = NamedDependency[SkipValidation[Streams]]


async def provide_streams(
    request: Request[Any, Any, Any], runtime: Runtime, as_of_offset: AsOfOffset = None, as_of_time: AsOfTime = None
) -> Streams:
    """Return all streams as they are, or as they were: the dependency of the queries.

    Raises:
        ProblemError: 422, when it is unclear of which time, or when that has not come yet.
        LogUnavailableError: The log is no longer followed.
    """
    if as_of_offset is not None and as_of_time is not None:
        raise ProblemError(422, "invalid-value", "as_of_offset and as_of_time exclude each other: send one of them")
    if as_of_time is not None:
        time = time_of("as_of_time", as_of_time)
        try:
            return await runtime.as_of.at_time(time, client_of(request), now=runtime.services.clock.now())
        except TimeNotReachedError as error:
            raise ProblemError(422, "invalid-value", f"as_of_time: {error}") from error
    if as_of_offset is not None:
        try:
            return await runtime.as_of.at_offset(as_of_offset, client_of(request))
        except OffsetNotReachedError as error:
            raise ProblemError(422, "invalid-value", str(error)) from error
    runtime.registry.check_followed()
    return runtime.registry.fold.streams
