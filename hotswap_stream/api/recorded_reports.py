"""Reports made of all that was recorded for a while: how many at once, and what to say where that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

from hotswap_stream.api.problems import RETRY_AFTER_SECONDS, ProblemError
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.recorded_history import RecordedHistory, TooManyRecordsError
from hotswap_stream.errors import HotswapError

REPORTS_AT_ONCE_MAX = 4
"""Each takes turns of some milliseconds in the event loop that requests to models go through, too."""


@contextmanager
def reading_records(runtime: ApiRuntime) -> Iterator[RecordedHistory]:
    """What was recorded, for the time of one report. ProblemError (503): it cannot be read, or too many read it."""
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
