"""Parameters that several operations take."""

import re
from datetime import datetime
from typing import Annotated

import msgspec
from litestar.params import PathParameter

from hotswap_stream.api.protocol.problems import ProblemError

ModelNameInPath = Annotated[str, PathParameter(description="Name of the model.")]
VersionInPath = Annotated[str, PathParameter(description="Name of the version.")]
AFTER = "after"
"""Parameter of queries that are answered from the log: the offset of a record that the answer must know of."""
_OF_THE_LOG = re.compile(r"/api/(models|alerts|rollouts|overview|events|status|webhooks|training-runs)(/.*)?")
_STREAMS = frozenset({"/api/events/stream", "/api/live"})

UploadInPath = Annotated[str, PathParameter(description="Id of the upload.")]


def reads_the_log(path: str) -> bool:
    """Return whether a query at this path is answered from the registry log."""
    return _OF_THE_LOG.fullmatch(path) is not None and path not in _STREAMS


def time_of(name: str, text: str) -> datetime:
    """Return the time in a parameter. Litestar would read a number as one, too.

    Raises:
        ProblemError: 422: it is none of RFC 3339, or has no time zone.
    """
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise ProblemError(
            422, "invalid-value", f"{name} is {text[:100]!r}; a time is needed, as in 2026-01-31T12:00:00Z"
        ) from None
    if time.tzinfo is None:
        raise ProblemError(422, "invalid-value", f"{name} needs a time zone, as in 2026-01-31T12:00:00Z")
    return time
