"""Reports made of all that was recorded for a while: how many at once, and what to say where that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import structs

from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError, refused
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.observations.history import RecordedHistory, TooManyRecordsError
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.errors import HotswapError

REPORTS_AT_ONCE_MAX = 4
"""They share the side loop."""


@contextmanager
def reading_records(runtime: ApiRuntime) -> Iterator[RecordedHistory]:
    """Yield what was recorded, for one report. ProblemError (503): it cannot be read, or too many read it."""
    recorded = runtime.services.recorded
    retry_later = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    if recorded is None:
        raise ProblemError(503, "observations-unknown", "this server was started without a way to the observations")
    if runtime.reports_in_the_making >= REPORTS_AT_ONCE_MAX:
        reason = f"{REPORTS_AT_ONCE_MAX} reports are being made, and no more are at once; try again later"
        raise ProblemError(503, "busy", reason, headers=retry_later)
    runtime.reports_in_the_making += 1
    try:
        yield recorded
    except HotswapError as error:
        headers = {} if isinstance(error, TooManyRecordsError) else retry_later
        raise ProblemError(503, "observations-unknown", str(error), headers=headers) from error
    finally:
        runtime.reports_in_the_making -= 1


def of_model(runtime: ApiRuntime, model_name: str) -> Streams:
    """Return one model as it is now, to be read in the side loop while the registry goes on. ProblemError (404)."""
    streams = runtime.registry.fold.streams
    stream = streams.get(model_name)
    if stream is None:
        raise refused(unknown_model(streams, model_name))
    return {model_name: structs.replace(stream, state=stream.state.copy())}
