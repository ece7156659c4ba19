"""The routes of keys: who has the scope `admin` makes, rotates and revokes them."""

from typing import Annotated, Any

from litestar import Controller, Request, get, post
from litestar.datastructures import CacheControlHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from hotswap_events.bounds import Text
from hotswap_events.keys import MODELS_MAX, KeyName, ModelPattern, Scope
from hotswap_stream.api.access.callers import actor_of
from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.commands.answers import PROBLEM_RESPONSES, QUERY_PROBLEM_RESPONSES
from hotswap_stream.api.protocol.authorization import guard_state_change
from hotswap_stream.api.protocol.openapi import KEY_OR_NONE
from hotswap_stream.api.protocol.problems import Problem, ProblemError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.keys.changes import (
    LIFE_SECONDS_MAX,
    ROTATION_SECONDS,
    ROTATION_SECONDS_MAX,
    KeyOrder,
)
from hotswap_stream.application.keys.office import LogOffice
from hotswap_stream.application.keys.view import KeyWithSecret, ShownKey

_STATUSES = (400, 401, 403, 413, 415, 422, 503)
_RESPONSES = {status: PROBLEM_RESPONSES[status] for status in _STATUSES}
_NO_SUCH = {404: ResponseSpec(Problem, generate_examples=False, description="No such key")}

HttpRequest = Request[Any, Any, Any]

KeyInPath = Annotated[str, PathParameter(max_length=100, description="Id or name of the key.")]


class CreateKeyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the key is to be. Its secret is always made here."""

    name: KeyName
    """The actor of what is done with it."""
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=4)]
    models: Annotated[tuple[ModelPattern, ...], Meta(max_length=MODELS_MAX)] = ()
    """Only these: names, or beginnings of names and `*`. Empty: all models."""
    valid_seconds: Annotated[float, Meta(gt=0, le=LIFE_SECONDS_MAX)] | None = None
    """Null: it does not expire."""
    signs: bool = False
    """Whether it signs commands on the topic, too. What they are signed with stands in the topic of the keys then."""


class RotateKeyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the old secret stays valid beside the new one."""

    old_valid_seconds: Annotated[float, Meta(ge=0, le=ROTATION_SECONDS_MAX)] = ROTATION_SECONDS


class RevokeKeyBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Text | None = None


class KeyList(Struct, frozen=True):
    """All keys, those that open something first."""

    keys: tuple[ShownKey, ...]


class KeyController(Controller):
    """Keys by id or name."""

    path = "/api/keys"
    tags = ("keys",)
    opt = needs("admin")
    security = KEY_OR_NONE
    cache_control = CacheControlHeader(no_store=True)

    @get("/", operation_id="list_keys", responses=QUERY_PROBLEM_RESPONSES)
    async def list_keys(self, request: HttpRequest, runtime: Runtime) -> KeyList:
        """All keys of the environment, without secrets; not those of the servers' settings."""
        return KeyList(await _office(request, runtime).all())

    @get("/{key:str}", operation_id="get_key", responses=QUERY_PROBLEM_RESPONSES)
    async def get_key(self, request: HttpRequest, runtime: Runtime, key: KeyInPath) -> ShownKey:
        """One key, without its secret."""
        return await _office(request, runtime).show(key)

    @post("/", operation_id="create_key", guards=[guard_state_change], responses=_RESPONSES)
    async def create(self, request: HttpRequest, runtime: Runtime, data: JSONBody[CreateKeyBody]) -> KeyWithSecret:
        """Make a key. Its token is in this answer and nowhere else: what is kept does not give it back."""
        order = KeyOrder(
            name=data.name, scopes=data.scopes, models=data.models, valid_seconds=data.valid_seconds, signs=data.signs
        )
        return await _office(request, runtime).create(order)

    @post(
        "/{key:str}/rotate",
        status_code=200,
        operation_id="rotate_key",
        guards=[guard_state_change],
        responses=_RESPONSES | _NO_SUCH,
    )
    async def rotate(
        self, request: HttpRequest, runtime: Runtime, key: KeyInPath, data: JSONBody[RotateKeyBody]
    ) -> KeyWithSecret:
        """Give a key a new secret. The old one stays valid for a while, so that callers can change over."""
        return await _office(request, runtime).rotate(key, data.old_valid_seconds)

    @post(
        "/{key:str}/revoke",
        status_code=200,
        operation_id="revoke_key",
        guards=[guard_state_change],
        responses=_RESPONSES | _NO_SUCH,
    )
    async def revoke(
        self, request: HttpRequest, runtime: Runtime, key: KeyInPath, data: JSONBody[RevokeKeyBody]
    ) -> ShownKey:
        """End a key for good: on every server within a moment, streams that it opened within a heartbeat."""
        return await _office(request, runtime).revoke(key, data.reason)


def _office(request: HttpRequest, runtime: ApiRuntime) -> LogOffice:
    services = runtime.services
    if services.keys is None:
        raise ProblemError(503, "not-ready", "this server was started without the environment's keys")
    return LogOffice(services.keys, actor_of(request, None), services.clock.now)
