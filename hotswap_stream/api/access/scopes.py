"""What a route needs of whoever asks it: said beside its handler, and checked before anything of the request is read.

A handler says it by `opt`: `PUBLIC`, or `needs(…)`. One that says nothing needs `read` for GET and `operate` for
everything else. Where a path names a model, a key that is limited to models must be for it; where none is named, such a
key opens only what says `any_model`.
"""

from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from hotswap_events import keys
from hotswap_stream.api.access.callers import Scope, caller_of
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.queries.known_parameters import check_parameters
from hotswap_stream.api.queries.own_writes import know_of
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.keys.access import Caller

_NEEDS, _ANY_MODEL, _MODEL_IN_QUERY = "scopes", "any_model", "model_in_query"
Scopes = tuple[keys.Scope, ...]

PUBLIC: Mapping[str, Any] = {_NEEDS: ()}
"""Answers everybody."""
INFER: Scopes = ("infer",)


def needs(*scopes: keys.Scope, any_model: bool = False, model_in_query: bool = False) -> dict[str, Any]:
    """Return the `opt` of a handler that one of these scopes opens.

    Args:
        scopes: Any one of them is enough.
        any_model: Keys that are limited to models open it, too, although its path names none: it is about no model, or
            checks by `check_model` the one that its body names.
        model_in_query: It answers about the model that `model_name` in the query names, if it is there.
    """
    return {_NEEDS: scopes, _ANY_MODEL: any_model, _MODEL_IN_QUERY: model_in_query}


def needed_scopes(handler: BaseRouteHandler, method: str) -> Scopes:
    """Return the scopes any of which opens a route; empty: everybody may."""
    said: Scopes | None = handler.opt.get(_NEEDS)
    if said is not None:
        return said
    return ("read",) if method in ("GET", "HEAD", "OPTIONS") else ("operate",)


async def guard_access(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Guard every route. ProblemError: 401 without a valid key, 403 for one that does not open this route.

    422 where it is asked with a parameter that it does not know.
    On the event loop: the framework runs guards that are no coroutines in a thread of their own.
    """
    scopes = needed_scopes(handler, str(connection.scope.get("method", "")))
    if scopes:
        runtime: ApiRuntime = connection.app.state.runtime
        scope: Scope = connection.scope
        if handler.opt.get(_ANY_MODEL):
            check_scope(runtime, scope, scopes)
        else:
            check_access(runtime, scope, scopes, _model_of(connection, handler))
    check_parameters(connection, handler)
    if scopes:
        await know_of(connection)


def _model_of(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> str | None:
    if handler.opt.get(_MODEL_IN_QUERY):
        named = connection.query_params.getall("model_name", [])
        return str(named[0]) if len(named) == 1 else None
    found = connection.path_params.get("model_name")
    return None if found is None else str(found)


def check_access(runtime: ApiRuntime, scope: Scope, scopes: Scopes, model_name: str | None) -> Caller:
    """Return who asks, if one of the scopes is his, for this model. ProblemError: 401, 403."""
    caller = check_scope(runtime, scope, scopes)
    if caller.models and (model_name is None or not caller.may_on(model_name)):
        runtime.refused_callers.count("model", path=scope["path"], client=caller.name or "")
        about = "all models" if model_name is None else f"model {model_name[:100]!r}"
        raise ProblemError(
            403,
            "not-permitted",
            f"this is about {about}, and the API key of {caller.name!r} is for others",
            legal=caller.models,
        )
    return caller


def check_scope(runtime: ApiRuntime, scope: Scope, scopes: Scopes) -> Caller:
    """Return who asks, if one of the scopes is his. ProblemError: 401, 403."""
    caller = caller_of(runtime, scope)
    if caller.scopes.isdisjoint(scopes):
        runtime.refused_callers.count("scope", path=scope["path"], client=caller.name or "")
        raise ProblemError(
            403,
            "not-permitted",
            f"this needs the scope {' or '.join(scopes)}; the API key of {caller.name!r} does not have it",
            legal=scopes,
        )
    return caller


def check_model(connection: ASGIConnection[Any, Any, Any, Any], model_name: str) -> None:
    """Check the model that a body names. ProblemError (403)."""
    runtime: ApiRuntime = connection.app.state.runtime
    handler: BaseRouteHandler = connection.scope["route_handler"]
    scope: Scope = connection.scope
    check_access(runtime, scope, needed_scopes(handler, str(connection.scope.get("method", ""))), model_name)
