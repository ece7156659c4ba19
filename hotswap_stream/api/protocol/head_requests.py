"""`HEAD` wherever there is `GET`, as RFC 9110 asks: the same answer without its body."""

from typing import Any

from litestar.types import Receive, Send


class HeadAsGet:
    """ASGI: lets the application answer `HEAD` as `GET` and sends the head of that; `OPTIONS` names all there is."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI defines it."""
        method = scope["method"] if scope["type"] == "http" else None
        if method == "HEAD":
            await self._answer_head(scope, receive, send)
        elif method == "OPTIONS":
            await self._answer_options(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer_head(self, scope: Any, receive: Receive, send: Send) -> None:
        begun = False

        async def send_head(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                begun = True

        async def receive_until_begun() -> Any:
            # A stream would go on for as long as somebody listens.
            return {"type": "http.disconnect"} if begun else await receive()

        await self._app({**scope, "method": "GET"}, receive_until_begun, send_head)

    async def _answer_options(self, scope: Any, receive: Receive, send: Send) -> None:
        """Let the application refuse a method that is nowhere: before any guard, and naming those that are there."""
        allowed = False

        async def send_allowed(message: Any) -> None:
            nonlocal allowed
            if message["type"] == "http.response.start" and message["status"] == 405:
                allowed = True
                headers = [(name, value) for name, value in message["headers"] if name.lower() == b"allow"]
                start: Any = {**message, "status": 204, "headers": headers}
                await send(start)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            elif not allowed:
                await send(message)

        await self._app({**scope, "method": "TRACE"}, receive, send_allowed)


def allowing_head(allowed: str) -> str:
    """Return the value of an `Allow` header, with `HEAD` where `GET` is."""
    methods = {method.strip() for method in allowed.split(",")}
    return ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
