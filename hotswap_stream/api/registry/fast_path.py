"""The way around the framework for the two queries that everybody polls: the list of models, and the status.

Routing, injection and responses of the framework take longer than the rest of them. The handlers describe the same
operations to the OpenAPI document, and answer whatever has a query. Who may ask is checked here as it is there.
"""

from typing import Any, TypeAlias
from urllib.parse import urlencode

import msgspec
from litestar import Litestar
from litestar.types import Receive, Send

from hotswap_stream.api.access.scopes import check_access
from hotswap_stream.api.monitoring.health import status_of
from hotswap_stream.api.protocol.problems import ProblemError, encoded_problem
from hotswap_stream.api.queries.paging import link_to
from hotswap_stream.api.registry.models import models_etag, models_now
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.errors import LogUnavailableError

MODELS_PATH, STATUS_PATH = "/api/models", "/api/status"
Headers: TypeAlias = "list[tuple[bytes, bytes]]"

_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class QueryPath:
    """An ASGI application that answers these queries itself, and leaves everything else to another one."""

    def __init__(self, app: Any, framework: Litestar) -> None:
        self._app = app
        self._framework = framework

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI defines it."""
        if (
            scope["type"] != "http"
            or scope["path"] not in (MODELS_PATH, STATUS_PATH)
            or scope["method"] != "GET"
            or scope["query_string"]
        ):
            await self._app(scope, receive, send)
            return
        runtime: ApiRuntime = self._framework.state.runtime
        if scope["path"] == MODELS_PATH:
            try:
                runtime.registry.check_followed()
            except LogUnavailableError:  # the framework knows how to say so
                await self._app(scope, receive, send)
                return
        status, headers = 200, [_JSON]
        try:
            check_access(runtime, scope, ("read",), None)
        except ProblemError as error:
            status, said, body = encoded_problem(scope["path"], error)
            headers = [(name.lower().encode(), value.encode()) for name, value in said.items()]
        else:
            if scope["path"] == MODELS_PATH:
                body, more = _models(runtime)
                headers += more
            else:
                body = _encode(await status_of(runtime))
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def _models(runtime: ApiRuntime) -> tuple[bytes, Headers]:
    """Return the first page of models in JSON, and its headers, made anew only after the log has moved."""
    fold = runtime.registry.fold
    known = runtime.models_known
    if known is None or known[0] is not fold or known[1] != fold.next_offset:
        page = models_now(runtime)
        headers = {"ETag": models_etag(runtime)}
        if page.total > len(page.models):
            headers |= link_to(f"{MODELS_PATH}?{urlencode({'after_name': page.models[-1].model_name})}")
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        known = runtime.models_known = fold, fold.next_offset, _encode(page), raw
    return known[2], known[3]
