"""Who asks: the owner of the key that a request shows, or anybody where no key is needed."""

import math
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from litestar.connection import ASGIConnection

from hotswap_events.command import ACTOR_CHARACTERS_MAX
from hotswap_stream.api.access.session_cookie import check_same_origin, presented_session
from hotswap_stream.api.protocol.connections import client_address
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.keys.access import ANYBODY, Caller
from hotswap_stream.application.keys.refused import Why
from hotswap_stream.application.keys.sessions import Ended
from hotswap_stream.domain.reserved import ANONYMOUS, wrong_actor

_CALLER = "hotswap_stream.caller"
"""Where the ASGI scope keeps who asks, so that a key is looked at once a request."""
_FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
"""A request with one of these comes from elsewhere, through a proxy on this machine."""

NOT_VALID: Mapping[str, str] = {
    "unknown": "the API key is not known here",
    "expired": "the API key is no longer valid: it has expired, or another secret took its place",
    "revoked": "the API key was revoked",
    "idle": "the session has ended, because nothing was asked for long",
}
"""Why a key, or the session of one, opens nothing."""

ADDRESSES_KEPT_MAX = 256
"""Callers of whom it is remembered whether their address is this machine's own."""

Connection = ASGIConnection[Any, Any, Any, Any]
Scope = Any
"""The ASGI scope of a request: a dictionary that Litestar types as one that nobody may add to."""


def caller_of(runtime: ApiRuntime, scope: Scope) -> Caller:
    """Return who asks. ProblemError (401) where that is nobody who may."""
    known: Caller | None = scope.get(_CALLER)
    if known is not None:
        return known
    headers = scope["headers"]
    presented = presented_key(headers)
    session_id = presented_session(headers) if presented is None else None
    if presented is not None:
        found: Caller | Ended = runtime.access.caller(presented, runtime.services.clock.now())
        if isinstance(found, str):
            raise unauthorized(runtime, scope, found, NOT_VALID[found])
        caller = found
        _keep_pace(runtime, scope, caller)
    elif session_id is not None and (by_session := _by_session(runtime, scope, session_id)) is not None:
        caller = by_session
        _keep_pace(runtime, scope, caller)
    elif is_open_to(runtime, scope):
        caller = ANYBODY
    else:
        raise unauthorized(
            runtime,
            scope,
            "no-key",
            "this needs an API key, in the header 'X-API-Key' or 'Authorization: Bearer'; "
            "`hotswap-stream keys create` makes one",
        )
    scope[_CALLER] = caller
    return caller


def _by_session(runtime: ApiRuntime, scope: Scope, session_id: str) -> Caller | None:
    """Return whose session it is; None where it opens nothing, and nothing is needed.

    Raises:
        ProblemError: 401 for one that has ended, 403 for what a page of ours did not send.
    """
    held = runtime.sessions.find(session_id, runtime.services.clock.now())
    if isinstance(held, str):
        if is_open_to(runtime, scope):
            return None
        detail = "the session has ended; sign in again" if held == "unknown" else NOT_VALID[held]
        raise unauthorized(runtime, scope, held, detail)
    check_same_origin(scope)
    return held.caller


def _keep_pace(runtime: ApiRuntime, scope: Scope, caller: Caller) -> None:
    """Count one more request of a key. ProblemError (429) where there are more in a second than it may send."""
    wait_s = runtime.pace.wait_s(caller.name or "", time.monotonic())
    if wait_s > 0:
        runtime.refused_callers.count("rate", path=scope["path"], client=caller.name or "")
        pace, seconds = runtime.pace, math.ceil(wait_s)
        raise ProblemError(
            429,
            "too-many-requests",
            f"the API key of {caller.name!r} asks too often; what it may is set by "
            "HOTSWAP_API_REQUESTS_PER_SECOND_PER_KEY_MAX",
            headers={
                "Retry-After": str(seconds),
                "RateLimit-Policy": f'"key";q={pace.burst};w={math.ceil(pace.window_s)}',
                "RateLimit": f'"key";r=0;t={seconds}',
            },
        )


def still_valid(runtime: ApiRuntime, scope: Scope) -> bool:
    """Return whether the key or session that a request showed when it began opens anything now."""
    now = runtime.services.clock.now()
    if (presented := presented_key(scope["headers"])) is not None:
        return not isinstance(runtime.access.caller(presented, now), str)
    session_id = presented_session(scope["headers"])
    return (
        session_id is None or not isinstance(runtime.sessions.find(session_id, now), str) or is_open_to(runtime, scope)
    )


def unauthorized(runtime: ApiRuntime, scope: Mapping[str, Any], why: Why, detail: str) -> ProblemError:
    """Return the problem of a request without a valid key, and count it."""
    runtime.refused_callers.count(why, path=scope["path"], client=address_of(scope))
    return ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="hotswap-stream"'})


def presented_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the API key in a request's headers, right or wrong."""
    bearer = None
    for name, value in headers:
        if name == b"x-api-key":
            return value.decode("latin-1")
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer" and token.strip():
                bearer = token.strip()
    return bearer


def address_of(scope: Mapping[str, Any]) -> str:
    """Return what counts as one client where nobody is known by a key."""
    client = scope.get("client")
    return client_address(client[0] if client else None)


def client_of(connection: Connection) -> str:
    """Return who asks, for fair shares: the API key's name, else the address."""
    runtime: ApiRuntime = connection.app.state.runtime
    return caller_of(runtime, connection.scope).name or address_of(connection.scope)


def actor_of(connection: Connection, named: str | None) -> str:
    """Return the API key's name; where none is needed, the one given, else 'anonymous'.

    Raises:
        ProblemError: 403 where a key's owner says to be somebody else, 422 for a name that does not fit.
    """
    runtime: ApiRuntime = connection.app.state.runtime
    caller = caller_of(runtime, connection.scope)
    actor = (named or "").strip()
    if caller.name is not None:
        if actor not in ("", caller.name):
            runtime.refused_callers.count("actor", path=connection.scope["path"], client=caller.name)
            raise ProblemError(
                403,
                "actor-claimed",
                f"X-Actor says {actor[:100]!r}, and the API key is that of {caller.name!r}, whose name is the actor: "
                "leave the header out, or ask with the other's key",
            )
        return caller.name
    actor = actor or ANONYMOUS
    if len(actor) > ACTOR_CHARACTERS_MAX:
        raise ProblemError(
            422, "invalid-value", f"X-Actor has {len(actor)} characters; at most {ACTOR_CHARACTERS_MAX} are allowed"
        )
    if wrong := wrong_actor(actor):
        raise ProblemError(422, "invalid-value", f"X-Actor: {wrong}")
    return actor


def has_key(connection: Connection) -> bool:
    """Return whether who asks is known by a key."""
    runtime: ApiRuntime = connection.app.state.runtime
    return caller_of(runtime, connection.scope).name is not None


def is_open_to(runtime: ApiRuntime, scope: Mapping[str, Any]) -> bool:
    """Return whether whoever sent this request needs no key."""
    open_to = runtime.access.open_to
    if open_to != "loopback":
        return open_to == "anybody"
    client = scope.get("client")
    if client is None or any(name in _FORWARDED for name, _ in scope["headers"]):
        return False
    return _is_loopback(str(client[0]))


@lru_cache(ADDRESSES_KEPT_MAX)
def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
