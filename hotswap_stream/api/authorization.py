"""Who may change state: API keys if there are any, and never a web page of another site."""

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from hotswap_stream.api.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.domain.reserved import wrong_actor

ANONYMOUS = "anonymous"
ACTOR_CHARACTERS_MAX = 200

Connection = ASGIConnection[Any, Any, Any, Any]


def guard_state_change(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard of every handler that changes state; `actor_of` tells afterwards who asked."""
    _refuse_other_sites(connection)
    runtime: ApiRuntime = connection.app.state.runtime
    keys = runtime.services.api_keys
    if not keys:
        return
    presented = presented_key(connection.headers)
    name = None if presented is None else key_owner(keys, presented)
    if name is None:
        raise ProblemError(
            401,
            "unauthorized",
            "this needs an API key, in the header 'X-API-Key' or 'Authorization: Bearer'"
            if presented is None
            else "the API key is not known here",
            headers={"WWW-Authenticate": 'Bearer realm="hotswap-stream"'},
        )
    connection.state.actor = name


def key_owner(keys: Mapping[str, str], presented: str) -> str | None:
    """Whose key it is. Takes the same time whichever key it is and however much of it is right."""
    owner = None
    for name, key in keys.items():
        if hmac.compare_digest(key.encode(), presented.encode()):
            owner = name
    return owner


def actor_of(connection: Connection, named: str | None) -> str:
    """The API key's name, else the one given, else 'anonymous'."""
    by_key: str | None = getattr(connection.state, "actor", None)
    if by_key is not None:
        return by_key
    actor = (named or "").strip() or ANONYMOUS
    if len(actor) > ACTOR_CHARACTERS_MAX:
        raise ProblemError(
            422, "invalid-value", f"X-Actor has {len(actor)} characters; at most {ACTOR_CHARACTERS_MAX} are allowed"
        )
    if wrong := wrong_actor(actor):
        raise ProblemError(422, "invalid-value", f"X-Actor: {wrong}")
    return actor


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The API key in the request's headers, right or wrong."""
    key = headers.get("x-api-key")
    if key is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _refuse_other_sites(connection: Connection) -> None:
    """A browser names the page that sends; without this, any page could command a server on the same machine."""
    origin = connection.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != connection.headers.get("host"):
        raise ProblemError(403, "forbidden", f"a page of {origin[:200]!r} may not change state here")
