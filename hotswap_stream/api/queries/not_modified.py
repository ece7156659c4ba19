"""`If-None-Match`, as RFC 9110 asks: whoever has the answer already is told so, without its body."""

from typing import Any

from litestar.types import Receive, Send

_KEPT = frozenset({b"etag", b"cache-control", b"vary", b"x-request-id", b"set-cookie", b"link"})
"""Headers that belong to an answer without a body."""


class NotModified:
    """ASGI: answers 304 to a GET where the application's answer has an ETag that the client has."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI defines it."""
        known = _known(scope["headers"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if known is None:
            await self._app(scope, receive, send)
            return
        told = False

        async def send_unless_known(message: Any) -> None:
            nonlocal told
            if message["type"] == "http.response.start" and message["status"] == 200 and _has(known, message):
                told = True
                headers = [(name, value) for name, value in message["headers"] if name.lower() in _KEPT]
                start: Any = {**message, "status": 304, "headers": headers}
                await send(start)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif not told:
                await send(message)

        await self._app(scope, receive, send_unless_known)


def _known(headers: list[tuple[bytes, bytes]]) -> frozenset[bytes] | None:
    """Return the ETags that a client has; None where it says nothing of them."""
    given = [value for name, value in headers if name == b"if-none-match"]
    if not given:
        return None
    return frozenset(_opaque(tag) for value in given for tag in value.split(b","))


def _has(known: frozenset[bytes], message: Any) -> bool:
    etag = next((value for name, value in message["headers"] if name.lower() == b"etag"), None)
    return etag is not None and (b"*" in known or _opaque(etag) in known)


def _opaque(tag: bytes) -> bytes:
    """Return a tag without the mark of weak ones: for reading both are the same."""
    return tag.strip().removeprefix(b"W/")
