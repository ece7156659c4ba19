"""Who may change state, and how: with an API key if there are any, and with a body that says what is meant."""

import hmac
from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from hotswap_events.command import ACTOR_CHARACTERS_MAX
from hotswap_stream.api.protocol.connections import client_address
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.domain.reserved import wrong_actor

ANONYMOUS = "anonymous"

Connection = ASGIConnection[Any, Any, Any, Any]


def guard_state_change(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard a handler that changes state; `actor_of` tells afterwards who asked. ProblemError: 401, 415, 422."""
    runtime: ApiRuntime = connection.app.state.runtime
    _identify(connection, runtime.services.api_keys)
    _require_json(connection.headers)


def guard_bytes(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard a handler that takes the bytes of a file. ProblemError: 401, 415, 422."""
    runtime: ApiRuntime = connection.app.state.runtime
    _identify(connection, runtime.services.api_keys)
    _require_bytes(connection.headers)


def guard_without_body(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard a handler that changes state and takes no body. ProblemError: 401."""
    runtime: ApiRuntime = connection.app.state.runtime
    _identify(connection, runtime.services.api_keys)


def _identify(connection: Connection, keys: Mapping[str, str]) -> None:
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
    """Return whose key it is. Takes the same time whichever key it is and however much of it is right."""
    owner = None
    for name, key in keys.items():
        if hmac.compare_digest(key.encode(), presented.encode()):
            owner = name
    return owner


def key_name(headers: Mapping[str, str], keys: Mapping[str, str]) -> str | None:
    """Return the name of the key that is presented, if it is one of these."""
    presented = presented_key(headers) if keys else None
    return None if presented is None else key_owner(keys, presented)


def address_of(scope: Mapping[str, Any]) -> str:
    """Return what counts as one client where nobody is known by a key."""
    client = scope.get("client")
    return client_address(client[0] if client else None)


def client_of(connection: Connection) -> str:
    """Return who asks, for fair shares: the API key's name, else the address."""
    runtime: ApiRuntime = connection.app.state.runtime
    return key_name(connection.headers, runtime.services.api_keys) or address_of(connection.scope)


def actor_of(connection: Connection, named: str | None) -> str:
    """Return the API key's name, else the one given, else 'anonymous'. ProblemError (422) for one that does not fit."""
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
    """Return the API key in the request's headers, right or wrong."""
    key = headers.get("x-api-key")
    if key is not None:
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _require_json(headers: Mapping[str, str]) -> None:
    """Raise ProblemError for a missing body (422), or one that is not declared as JSON (415).

    A body that got lost on the way must not pass for one without a guard; and a page can send text without being asked
    whether it may, but no JSON.
    """
    if not _has_body(headers):
        raise ProblemError(
            422,
            "body-missing",
            "a command needs a body, at the least '{}' with content-type application/json: where one got lost on the "
            "way, what it said would be missing, such as expected_sequence",
        )
    _require_type(headers, "application/json")


def _require_bytes(headers: Mapping[str, str]) -> None:
    """Raise ProblemError for a missing body (422), or one that is not declared as bytes as they are (415)."""
    if not _has_body(headers):
        raise ProblemError(422, "body-missing", "the body is the file; it may not be empty")
    _require_type(headers, "application/octet-stream")
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise ProblemError(
            415, "wrong-content-type", f"content-encoding is {coding[:100]!r}; send the bytes as they are"
        )


def _has_body(headers: Mapping[str, str]) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip("0") != ""


def _require_type(headers: Mapping[str, str], needed: str) -> None:
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != needed:
        raise ProblemError(415, "wrong-content-type", f"content-type is {content_type[:100]!r}; {needed} is needed")
