"""What a request that changes something must come with: a body, and one that says what it is."""

from collections.abc import Mapping
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from hotswap_stream.api.protocol.problems import ProblemError

Connection = ASGIConnection[Any, Any, Any, Any]


async def guard_state_change(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard a handler that changes state. ProblemError: 415, 422."""
    _require_json(connection.headers)


async def guard_bytes(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard a handler that takes the bytes of a file. ProblemError: 415, 422."""
    _require_bytes(connection.headers)


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
