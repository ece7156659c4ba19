"""What a command takes from the request's headers: who, under which id, on which reading, in which trace."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import HeaderParameter
from msgspec import Meta, Struct

from hotswap_events.bounds import INT64_MAX
from hotswap_events.command import ACTOR_CHARACTERS_MAX, COMMAND_ID_CHARACTERS_MAX
from hotswap_events.commands import Actor, CommandId, Reason
from hotswap_stream.api.access.callers import actor_of, has_key
from hotswap_stream.api.protocol.problems import ProblemError
from hotswap_stream.api.runtime import Runtime
from hotswap_stream.application.clock import Ids
from hotswap_stream.application.repeated_keys import Payload, payload_of
from hotswap_stream.application.unread_keys import unread_key
from hotswap_stream.domain.reserved import wrong_command_id
from hotswap_stream.observability.tracing import TRACEPARENT

ActorBy = Literal["key", "claim", "signature"]
"""By which way it is known who asks."""

_ETAG = re.compile(r'(?:W/)?"?(\d{1,18})"?')


class CommandHeaders(Struct, frozen=True, kw_only=True):
    """What the headers of a command say."""

    actor: Actor
    actor_by: ActorBy = "claim"
    idempotency_key: str | None = None
    if_match: int | None = None
    traceparent: str | None = None
    payload: Payload | None = None
    """What is asked under the key, if there is one."""


async def provide_command_headers(
    request: Request[Any, Any, Any],
    runtime: Runtime,  # one after the other: for dependencies at once the framework starts a group of tasks
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="Idempotency-Key",
            description="The command id: the same key never applies twice.",
            schema_extra={"minLength": 1, "maxLength": COMMAND_ID_CHARACTERS_MAX},
        ),
    ] = None,
    if_match: Annotated[
        str | None,
        HeaderParameter(
            name="If-Match",
            description="ETag the decision was made on: the model's sequence.",
            schema_extra={"pattern": r'^(\*|(W/)?"?[0-9]{1,18}"?)$'},
        ),
    ] = None,
    x_actor: Annotated[
        str | None,
        HeaderParameter(
            name="X-Actor",
            description="Who asks, where no API key is needed; default 'anonymous'.",
            schema_extra={"maxLength": ACTOR_CHARACTERS_MAX},
        ),
    ] = None,
    traceparent: Annotated[
        str | None, HeaderParameter(name="traceparent", description="W3C trace context; kept in the event.")
    ] = None,
) -> CommandHeaders:
    """Provide the dependency of every command. ProblemError (422) for a header that does not fit, or a key used up."""
    actor, key, payload = actor_of(request, x_actor), _idempotency_key(idempotency_key), None
    if key is not None:
        payload = payload_of(actor, key, request.method, request.url.path, await request.body())
        if runtime.repeated_keys.used_otherwise(payload):
            raise ProblemError(
                422,
                "idempotency-mismatch",
                f"the Idempotency-Key {key!r} was used for another command of yours: a new command needs a new key",
            )
    return CommandHeaders(
        actor=actor,
        actor_by="key" if has_key(request) else "claim",
        payload=payload,
        idempotency_key=key,
        if_match=_if_match(if_match),
        # As W3C asks, one that is not valid is passed over.
        traceparent=traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None,
    )


Headers = NamedDependency[CommandHeaders]


class CommandBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the body of every command may carry. `{}` says that nothing is meant; a body that is not there says nothing:
    a guard in it may have been lost on the way.
    """

    reason: Reason | None = None
    """Why; kept in the log."""
    expected_sequence: Annotated[int, Meta(ge=0, le=INT64_MAX)] | None = None
    """Refuse unless the model is at this sequence."""
    command_id: CommandId | None = None
    """The same id never applies twice: send it again after a failure."""
    correlation_id: CommandId | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    """Refuse it from then on: for what may have waited on its way."""


class CommandContext(Struct, frozen=True, kw_only=True):
    """The fields that every command is built with."""

    command_id: CommandId
    actor: Actor
    actor_by: ActorBy
    reason: str | None
    expected_sequence: int | None
    correlation_id: str | None
    traceparent: str | None
    expires_at: datetime | None
    payload: Payload | None
    by_if_match: bool
    """Whether `expected_sequence` came by `If-Match`, so that a mismatch answers 412."""

    def fields(self) -> dict[str, Any]:
        """Return the keyword arguments common to all commands."""
        return {
            "command_id": self.command_id,
            "actor": self.actor,
            "reason": self.reason,
            "expected_sequence": self.expected_sequence,
            "correlation_id": self.correlation_id,
            "traceparent": self.traceparent,
            "expires_at": self.expires_at,
        }


def command_context(headers: CommandHeaders, body: CommandBody, ids: Ids) -> CommandContext:
    """Return headers and body together. ProblemError (422) when they contradict each other."""
    key, if_match = headers.idempotency_key, headers.if_match
    if if_match is not None and body.expected_sequence not in (None, if_match):
        raise _invalid(f"If-Match says {if_match}, expected_sequence says {body.expected_sequence}: send one of them")
    if key is not None and body.command_id not in (None, key):
        raise _invalid(f"Idempotency-Key is {key!r}, command_id is {body.command_id!r}: send one of them")
    command_id = key or body.command_id or ids.new_id()
    if wrong := wrong_command_id(command_id):
        raise _invalid(wrong)
    return CommandContext(
        command_id=command_id,
        actor=headers.actor,
        actor_by=headers.actor_by,
        reason=body.reason,
        expected_sequence=body.expected_sequence if if_match is None else if_match,
        correlation_id=body.correlation_id,
        traceparent=headers.traceparent,
        expires_at=body.expires_at,
        payload=headers.payload,
        by_if_match=if_match is not None,
    )


async def nothing_unread(request: Request[Any, Any, Any], body: Struct) -> None:
    """Raise ProblemError (422) if the body has, however deep, a key that is no field: it would pass for a default."""
    if unread := unread_key(await request.json(), body):
        raise _invalid(f"{unread!r} in the body is unknown")


def _idempotency_key(given: str | None) -> str | None:
    if given is None:
        return None
    key = given.strip().strip('"')
    if not 0 < len(key) <= COMMAND_ID_CHARACTERS_MAX:
        raise _invalid(f"Idempotency-Key has {len(key)} characters; 1 to {COMMAND_ID_CHARACTERS_MAX} are allowed")
    return key


def _if_match(given: str | None) -> int | None:
    if given is None or given.strip() == "*":
        return None
    match = _ETAG.fullmatch(given.strip())
    if match is None:
        raise _invalid(f'If-Match is {given[:100]!r}; an ETag of this API is needed, the sequence in quotes, like "7"')
    return int(match[1])


def _invalid(detail: str) -> ProblemError:
    return ProblemError(422, "invalid-value", detail)
