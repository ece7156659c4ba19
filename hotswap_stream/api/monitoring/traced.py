"""Each request gets an id, and its place in a trace where traces are on; the logs of its handling name both."""

import re
from itertools import count
from secrets import token_hex
from typing import Any

from litestar.types import Receive, Send
from structlog.contextvars import bind_contextvars

from hotswap_stream.observability.tracing import TRACEPARENT, Attributes, Tracing, active, trace_id_of, traceparent_of

REQUEST_ID = re.compile(rb"[A-Za-z0-9._~+/=:-]{1,128}")
"""What is taken of a client's own id; another one is replaced."""
_PROCESS = token_hex(8)
_numbers = count()
"""A fresh id is made of what is this process's alone, and a number: to make each by chance takes longer."""
PROCESS_HEADER = b"x-api-process"
_NO_GUESSING = (b"x-content-type-options", b"nosniff")
"""No browser takes what others wrote, in names and reasons, for a page or a script."""
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SERVER_ERROR = 500


class Traced:
    """ASGI: `X-Request-Id` and `nosniff` on every answer; a span for each command and each traced request to a model.

    A request to a model has a span where its caller brought a trace context: whoever begins a trace chooses whether it
    is kept. What the request leads to - a record on a topic, an event of the log - carries the span's own context on.
    """

    def __init__(self, app: Any, process_number: int | None = None) -> None:
        """`process_number`: which of several processes behind one port this is; all answers name it."""
        self._app = app
        number = () if process_number is None else ((PROCESS_HEADER, b"%d" % process_number),)
        self._always = (_NO_GUESSING, *number)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI defines it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, traceparent = _said(scope["headers"])
        tracing = active()
        bind_contextvars(request_id=request_id.decode())

        async def named(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-request-id", request_id), *self._always]
                message = {**message, "headers": headers}
            await send(message)

        if traceparent is not None:
            bind_contextvars(trace_id=trace_id_of(traceparent))
        asks_model = scope["path"].endswith(("/infer", "/predict"))
        if tracing is None or scope["method"] not in CHANGING or (asks_model and traceparent is None):
            await self._app(scope, receive, named)
            return
        await self._spanned(tracing, scope, receive, named, traceparent, request_id.decode())

    async def _spanned(
        self, tracing: Tracing, scope: Any, receive: Receive, send: Send, traceparent: str | None, request_id: str
    ) -> None:
        route = _route(scope["path"])
        attributes: Attributes = {
            "http.request.method": scope["method"],
            "http.route": route,
            "hotswap.request_id": request_id,
        }
        with tracing.span(f"{scope['method']} {route}", "server", traceparent, attributes) as span:
            own = traceparent_of(span)
            bind_contextvars(trace_id=trace_id_of(own))
            others = [(name, value) for name, value in scope["headers"] if name != b"traceparent"]

            async def seen(message: Any) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= SERVER_ERROR:
                        from opentelemetry.trace import StatusCode

                        span.set_status(StatusCode.ERROR)
                await send(message)

            await self._app({**scope, "headers": [*others, (b"traceparent", own.encode())]}, receive, seen)


def _said(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, str | None]:
    """Return the request's id, a fresh one where it brings none that can be taken, and its trace context."""
    request_id = traceparent = None
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value
        elif name == b"traceparent":
            text = value.decode("latin-1")
            traceparent = text if TRACEPARENT.fullmatch(text) else None
    if request_id is None or not REQUEST_ID.fullmatch(request_id):
        request_id = f"{_PROCESS}{next(_numbers):016x}".encode()
    return request_id, traceparent


_NAMED = {"models": "{model_name}", "versions": "{model_version}", "alerts": "{rule_name}", "uploads": "{upload_id}"}
_MORE = {
    "aliases": "{alias}",
    "training-runs": "{run_id}",
    "keys": "{key}",
    "webhooks": "{name}",
    "datasets": "{dataset}",
    "artifacts": "{file_path}",
}


def _route(path: str) -> str:
    """Return the path with names in braces in place of what is a name: spans are grouped by it."""
    parts = path.split("/")
    known = _NAMED | _MORE
    for place in range(1, len(parts)):
        if (word := known.get(parts[place - 1])) is not None and parts[place] not in ("", "from-uploads", "index"):
            parts[place] = word
    return "/".join(parts)[:200]
