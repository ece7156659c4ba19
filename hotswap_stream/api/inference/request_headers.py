"""What the headers of a request to a model say: its content, and what its record carries beside the body."""

import time
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from hotswap_events import headers as header_names
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.application.inference.gateway import DEADLINE_SECONDS_MAX, Beside
from hotswap_stream.observability.tracing import TRACEPARENT

DEADLINE_DIGITS_MAX = 15

_ROUTING_KEY = header_names.ROUTING_KEY.encode()
_TRACEPARENT = header_names.TRACEPARENT.encode()
_REPEATED_ID = header_names.REPEATED_ID.encode()
_DEADLINE = header_names.DEADLINE.encode()

_OF_BROWSERS = {"origin", "referer", "cookie", "sec-fetch-site", "sec-fetch-mode"}


class AskedHeaders(Protocol):
    """What is needed of a request to ask a model. Litestar's requests have it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers by name in lower case."""
        ...

    @property
    def scope(self) -> Any:
        """Return the ASGI scope."""
        ...


class ScopeHeaders:
    """The headers of a request that did not pass through the framework."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def beside_of(request: AskedHeaders, model_version: str | None = None) -> Beside:
    """Read what the request's headers pass on to its record.

    The protocol's id is the caller's own label, and clients repeat it, so by HTTP it may repeat unless they say no.

    Args:
        request: The request.
        model_version: The version that must answer, if the path names one.

    Returns:
        What travels beside the request, with the seconds that are left until its deadline.

    Raises:
        ProblemError: 400 for a header that does not fit, 504 for a deadline that is over.
    """
    routing_key = traceparent = deadline_s = None
    repeated_id_allowed = True
    for name, value in request.scope["headers"]:
        if name == _ROUTING_KEY:
            routing_key = value
        elif name == _TRACEPARENT:
            text = value.decode("latin-1")
            traceparent = text if TRACEPARENT.fullmatch(text) else None  # as W3C asks, a wrong one is passed over
        elif name == _DEADLINE:
            deadline_s = _seconds_until(value)
        elif name == _REPEATED_ID:
            repeated_id_allowed = value != b"refused"
    try:
        return Beside(
            routing_key=None if routing_key is None else routing_key.decode(),
            model_version=model_version,
            traceparent=traceparent,
            deadline_s=deadline_s,
            repeated_id_allowed=repeated_id_allowed,
        )
    except ValueError as error:
        raise ProblemError(400, "invalid-header", f"{header_names.ROUTING_KEY}: {error}") from error


def _seconds_until(deadline_ms: bytes) -> float:
    if not deadline_ms.isdigit() or len(deadline_ms) > DEADLINE_DIGITS_MAX:
        raise ProblemError(
            400,
            "invalid-header",
            f"{header_names.DEADLINE} is {deadline_ms[:50]!r}; milliseconds since 1970 are needed",
        )
    seconds = int(deadline_ms) / 1_000 - time.time()
    if seconds <= 0:
        raise ProblemError(504, "deadline-expired", f"the deadline was {-seconds:.3f} s ago")
    return min(seconds, DEADLINE_SECONDS_MAX)


def check_content(request: AskedHeaders, media_types: Collection[str]) -> None:
    """Raise ProblemError (415) for another content type, or a compressed body.

    A request without a content type passes where no browser sent it: clients of the protocol leave it out, and so may
    a page of another site.
    """
    content_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if content_type not in media_types and (content_type or _OF_BROWSERS & request.headers.keys()):
        raise ProblemError(
            415, "wrong-content-type", f"content-type is {content_type[:100]!r}; {' or '.join(media_types)} is needed"
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise ProblemError(415, "wrong-content-encoding", f"content-encoding {encoding[:100]!r} is not understood")
