"""Bodies are taken as they are: no number passes for a truth value, and no integer is beyond 64 bits.

Litestar converts bodies leniently, as it must convert queries, where all is text. What it refuses it refuses itself,
with all that is wrong; this is for what it would let through.
"""

import re
from typing import Any

import msgspec
from litestar import Request

from hotswap_events.bounds import INT64_MAX
from hotswap_stream.api.protocol.problems import ProblemError

_MANY_DIGITS = re.compile(rb"\d{19}")
_NOT_OURS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


async def require_strict(request: Request[Any, Any, Any]) -> None:
    """Raise ProblemError (422) for a body that only a lenient reader takes. To be called before every handler."""
    field = request.route_handler.parsed_data_field
    if field is None:
        return
    body = await request.body()
    if not body.strip():
        return
    try:
        msgspec.json.decode(body, type=field.annotation)
        if _MANY_DIGITS.search(body) and _beyond(msgspec.json.decode(body)):
            raise ProblemError(422, "invalid-request", "a number in the body is an integer of more than 64 bits")
    except msgspec.ValidationError as strict:
        try:
            msgspec.json.decode(body, type=field.annotation, strict=False)
        except _NOT_OURS:
            return
        raise ProblemError(422, "invalid-request", f"the body does not fit: {strict}") from strict
    except _NOT_OURS:
        return


def _beyond(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_beyond, value.values()))
    if isinstance(value, list):
        return any(map(_beyond, value))
    return isinstance(value, int) and not -INT64_MAX - 1 <= value <= INT64_MAX
