"""Inference requests, answered before the framework: its routing, injection and responses would cost more than the way
to Kafka and back. The handlers in `inference` describe the same operations to the OpenAPI document, and answer where
the application runs without this.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from litestar import Litestar
from litestar.types import Receive, Scope, Send

from hotswap_stream.api.inference.asking import ask, beside_of, check_content, in_flight, servable
from hotswap_stream.api.inference.handlers import BINARY_MEDIA_TYPE, JSON_MEDIA_TYPE
from hotswap_stream.api.protocol.problems import ProblemError, oip_error, problem_of
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.inference.binary_tensors import (
    HEADER_LENGTH,
    WrongBodyError,
    decode_request,
    encode_response,
)
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

_LENGTH = HEADER_LENGTH.lower()
_LENGTH_BYTES = HEADER_LENGTH.encode()
_JSON = (b"content-type", JSON_MEDIA_TYPE.encode())
_BINARY = (b"content-type", BINARY_MEDIA_TYPE.encode())

ResponseHeaders = list[tuple[bytes, bytes]]


class AskedRequest:
    """Headers of a request, with names in lower case."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


class InferPath:
    """ASGI: asks models itself, and leaves everything else to the application."""

    def __init__(self, app: Litestar, body_bytes_max: int) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Of ASGI."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/infer"):
            match scope["path"].split("/"):
                case ["", "v2", "models", model_name, "infer"]:
                    return await self._respond(scope, receive, send, model_name, None)
                case ["", "v2", "models", model_name, "versions", model_version, "infer"]:
                    return await self._respond(scope, receive, send, model_name, model_version)
        return await self._app(scope, receive, send)

    async def _respond(
        self, scope: Scope, receive: Receive, send: Send, model_name: str, model_version: str | None
    ) -> None:
        status, headers, body = await self._answered(scope, receive, model_name, model_version)
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _answered(
        self, scope: Scope, receive: Receive, model_name: str, model_version: str | None
    ) -> tuple[int, ResponseHeaders, bytes]:
        try:
            headers, body = await self._infer(AskedRequest(scope), receive, model_name, model_version)
            return 200, headers, body
        except ProblemError as error:
            problem = error
        except HotswapError as error:
            problem = problem_of(error)
        except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets an answer and the log the cause
            _log.error("request_crashed", path=scope["path"], exc_info=error)
            problem = ProblemError(500, "internal", "the cause is in the server's log")
        status, body = oip_error(problem.status, problem.detail, problem.legal)
        named = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        return status, [_JSON, *named], body

    async def _infer(
        self, request: AskedRequest, receive: Receive, model_name: str, model_version: str | None
    ) -> tuple[ResponseHeaders, bytes]:
        runtime: ApiRuntime = self._app.state.runtime
        with in_flight(request, runtime):
            servable(runtime, model_name, model_version)
            check_content(request, (JSON_MEDIA_TYPE, BINARY_MEDIA_TYPE))
            body = await self._body(request, runtime, receive)
            try:
                asked = decode_request(body, request.headers.get(_LENGTH))
            except WrongBodyError as error:
                raise ProblemError(400, "request-unreadable", str(error)) from error
            beside = beside_of(request, model_version)
            answer = await ask(runtime, model_name, asked.request, raw=asked.any_binary, beside=beside)
        content, json_bytes = encode_response(answer, asked.binary_outputs([tensor.name for tensor in answer.outputs]))
        if json_bytes is None:
            return [_JSON], content
        return [_BINARY, (_LENGTH_BYTES, b"%d" % json_bytes)], content

    async def _body(self, request: AskedRequest, runtime: ApiRuntime, receive: Receive) -> bytes:
        """ProblemError: 413 too large, 408 when it does not arrive in time."""
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._body_bytes_max:
            raise self._too_large()
        message: Any = await _first(receive, runtime.services.infer_timeout_ms / 1_000)
        if message["type"] == "http.request" and not message.get("more_body"):
            chunks = [message.get("body", b"")]
        else:
            chunks = await self._rest(message, runtime, receive)
        if sum(map(len, chunks)) > self._body_bytes_max:
            raise self._too_large()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _rest(self, message: Any, runtime: ApiRuntime, receive: Receive) -> list[bytes]:
        chunks, size = [], 0
        try:
            async with asyncio.timeout(runtime.services.infer_timeout_ms / 1_000):
                while True:
                    if message["type"] == "http.disconnect":
                        raise ProblemError(400, "request-unreadable", "the connection ended before the body")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > self._body_bytes_max:
                        raise self._too_large()
                    if not message.get("more_body"):
                        return chunks
                    message = await receive()
        except TimeoutError as error:
            raise ProblemError(408, "body-too-slow", "the body did not arrive in time") from error

    def _too_large(self) -> ProblemError:
        return ProblemError(
            413, "body-too-large", f"the body has more than {self._body_bytes_max} bytes; that is the most this takes"
        )


async def _first(receive: Receive, timeout_s: float) -> Any:
    try:
        async with asyncio.timeout(timeout_s):
            return await receive()
    except TimeoutError as error:
        raise ProblemError(408, "body-too-slow", "the body did not arrive in time") from error
