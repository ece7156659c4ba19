"""The way around the framework for inference requests.

Its routing, injection and responses would cost more than the way to Kafka and back. The `handlers` describe the same
operations to the OpenAPI document, and answer where a path is written in a way that only the framework understands.
"""

from typing import Any

from litestar import Litestar
from litestar.types import Receive, Send

from hotswap_stream.api.inference.infer import infer_answer


class InferPath:
    """An ASGI application that answers inference requests itself, and leaves everything else to another one."""

    def __init__(self, app: Any, framework: Litestar) -> None:
        self._app = app
        self._framework = framework

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI defines it."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/infer"):
            match scope["path"].split("/"):
                case ["", "v2", "models", model_name, "infer"]:
                    return await self._respond(scope, receive, send, model_name, None)
                case ["", "v2", "models", model_name, "versions", model_version, "infer"]:
                    return await self._respond(scope, receive, send, model_name, model_version)
        await self._app(scope, receive, send)
        return None

    async def _respond(
        self, scope: Any, receive: Receive, send: Send, model_name: str, model_version: str | None
    ) -> None:
        answer = await infer_answer(self._framework.state.runtime, scope, receive, model_name, model_version)
        headers = [
            (b"content-type", answer.media_type.encode()),
            *((name.encode(), value.encode()) for name, value in answer.headers.items()),
            (b"content-length", b"%d" % len(answer.body)),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})
