"""Signing in to the page with a key, who is signed in, and signing out."""

import math
import time
from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Controller, Request, Response, delete, get, post
from litestar.datastructures import CacheControlHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import Meta, Struct

from hotswap_events.keys import Scope
from hotswap_stream import __version__
from hotswap_stream.api.access.callers import NOT_VALID, address_of, is_open_to, presented_key, unauthorized
from hotswap_stream.api.access.scopes import PUBLIC
from hotswap_stream.api.access.session_cookie import check_same_origin, presented_session, session_cookie
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.problems import Problem, ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.keys.access import ANYBODY, Caller
from hotswap_stream.application.keys.sessions import Ended

KEY_CHARACTERS_MAX = 500

HttpRequest = Request[Any, Any, Any]


class SignInBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key to sign in with."""

    key: Annotated[str, Meta(min_length=1, max_length=KEY_CHARACTERS_MAX)]


class WhoAmI(Struct, frozen=True, kw_only=True):
    """Who asks, and what they may do."""

    state: Literal["signed-in", "open", "signed-out"]
    """`open`: no key is needed here; `signed-out`: one is, and there is none that is valid."""
    environment: str
    """The topic prefix: which of several environments on one cluster this is."""
    version: str
    """The release of this server."""
    name: str | None = None
    """The key's name, and the actor of what is done with it."""
    key_id: str | None = None
    """Null: a key of the settings, or none."""
    scopes: tuple[Scope, ...] = ()
    """All that the key's scopes include."""
    models: tuple[str, ...] = ()
    """Names, or beginnings of names and `*`; empty: all models."""
    expires_at: datetime | None = None
    """When the session ends at the latest; null where the request showed a key itself."""
    why: Ended | None = None
    """Why the key or session that was shown opens nothing any more."""


class SessionController(Controller):
    """The session of a browser."""

    path = "/api/session"
    tags = ("keys",)
    opt = PUBLIC
    security = ({},)
    cache_control = CacheControlHeader(no_store=True)

    @get("/", operation_id="get_session")
    async def who_am_i(self, request: HttpRequest, runtime: Runtime) -> WhoAmI:
        """Who asks. Answers everybody, so that a page can see whether somebody must sign in."""
        now, scope = runtime.services.clock.now(), request.scope
        why: Ended | None = None
        if (key := presented_key(scope["headers"])) is not None:
            found = runtime.access.caller(key, now)
            if isinstance(found, Caller):
                return _known(runtime, found, None)
            return _who(runtime, state="signed-out", why=found)
        if (session_id := presented_session(scope["headers"])) is not None:
            held = runtime.sessions.find(session_id, now)
            if not isinstance(held, str):
                return _known(runtime, held.caller, held.session.expires_at)
            why = held
        if is_open_to(runtime, scope):
            return _who(runtime, state="open", scopes=tuple(sorted(ANYBODY.scopes)))
        return _who(runtime, state="signed-out", why=why)

    @post(
        "/",
        operation_id="sign_in",
        guards=[guard_state_change],
        responses={
            401: ResponseSpec(Problem, generate_examples=False, description="The key opens nothing"),
            429: ResponseSpec(Problem, generate_examples=False, description="Too many wrong keys; try again later"),
        },
    )
    async def sign_in(self, request: HttpRequest, runtime: Runtime, data: JSONBody[SignInBody]) -> Response[WhoAmI]:
        """Begin a session with a key, for a browser: its cookie is set, and the key need not be kept there."""
        scope, client = request.scope, address_of(request.scope)
        wait_s = runtime.wrong_attempts.wait_s(client, time.monotonic())
        if wait_s > 0:
            runtime.refused_callers.count("rate", path=scope["path"], client=client)
            raise ProblemError(
                429,
                "too-many-requests",
                "there were too many wrong keys from this address; try again later",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )
        begun = runtime.sessions.begin(data.key.strip(), runtime.services.clock.now())
        if isinstance(begun, str):
            runtime.wrong_attempts.count(client, time.monotonic())
            raise unauthorized(runtime, scope, begun, NOT_VALID[begun])
        if (before := presented_session(scope["headers"])) is not None:
            runtime.sessions.end(before, runtime.services.clock.now())
        session_id, held = begun
        return Response(
            _known(runtime, held.caller, held.session.expires_at),
            cookies=[session_cookie(scope, session_id, runtime.sessions.limits.seconds_max)],
        )

    @delete("/", operation_id="sign_out")
    async def sign_out(self, request: HttpRequest, runtime: Runtime) -> Response[None]:
        """End the session, if there is one, and take the cookie away."""
        scope = request.scope
        if (session_id := presented_session(scope["headers"])) is not None:
            check_same_origin(scope)
            runtime.sessions.end(session_id, runtime.services.clock.now())
        return Response(None, status_code=204, cookies=[session_cookie(scope, "", 0)])


def _known(runtime: ApiRuntime, caller: Caller, expires_at: datetime | None) -> WhoAmI:
    return _who(
        runtime,
        state="signed-in",
        name=caller.name,
        key_id=caller.key_id,
        scopes=tuple(sorted(caller.scopes)),
        models=caller.models,
        expires_at=expires_at,
    )


def _who(runtime: ApiRuntime, **fields: Any) -> WhoAmI:
    return WhoAmI(environment=runtime.services.environment, version=__version__, **fields)
