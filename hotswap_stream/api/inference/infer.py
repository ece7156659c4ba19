"""One inference request of the Open Inference Protocol v2: from what ASGI hands over to the bytes of its answer.

The only place that answers such requests, whoever received them: `fast_path` before the framework, or the `handlers`.
"""

from typing import Any, NamedTuple

import structlog
from litestar.types import Receive

from hotswap_stream.api.access.scopes import INFER, check_access
from hotswap_stream.api.inference.asking import ask, in_flight, servable
from hotswap_stream.api.inference.request_body import read_body
from hotswap_stream.api.inference.request_headers import ScopeHeaders, beside_of, check_content
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

JSON_MEDIA_TYPE = "application/json"
BINARY_MEDIA_TYPE = "application/octet-stream"

_LENGTH = HEADER_LENGTH.lower()


class HttpAnswer(NamedTuple):
    """What goes back to the caller, a success or not."""

    status: int
    media_type: str
    headers: dict[str, str]
    body: bytes


async def infer_answer(
    runtime: ApiRuntime, scope: Any, receive: Receive, model_name: str, model_version: str | None
) -> HttpAnswer:
    """Ask a model what a request asks, and return the answer. Never raises: errors are answers, too.

    Args:
        runtime: The application's.
        scope: The request's ASGI scope, of which the path, the headers and the client are read.
        receive: ASGI's, with the whole body still in it.
        model_name: The model to ask.
        model_version: The version that must answer; None for the one in production.
    """
    try:
        return await _infer(runtime, ScopeHeaders(scope), receive, model_name, model_version)
    except ProblemError as error:
        problem = error
    except HotswapError as error:
        problem = problem_of(error)
    except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets an answer and the log the cause
        _log.error("request_crashed", path=scope["path"], exc_info=error)
        problem = ProblemError(500, "internal", "the cause is in the server's log")
    status, body = oip_error(problem.status, problem.detail, problem.legal)
    return HttpAnswer(status, JSON_MEDIA_TYPE, {name.lower(): value for name, value in problem.headers.items()}, body)


async def _infer(
    runtime: ApiRuntime, request: ScopeHeaders, receive: Receive, model_name: str, model_version: str | None
) -> HttpAnswer:
    check_access(runtime, request.scope, INFER, model_name)
    with in_flight(request, runtime):
        servable(runtime, model_name, model_version)
        check_content(request, (JSON_MEDIA_TYPE, BINARY_MEDIA_TYPE))
        body = await read_body(
            receive,
            request.headers,
            bytes_max=runtime.services.infer_bytes_max,
            seconds_max=runtime.services.infer_timeout_ms / 1_000,
            timeouts=runtime.timeouts,
        )
        try:
            asked = decode_request(body, request.headers.get(_LENGTH))
        except WrongBodyError as error:
            raise ProblemError(400, "request-unreadable", str(error)) from error
        beside = beside_of(request, model_version)
        answer = await ask(runtime, model_name, asked.request, raw=asked.any_binary, beside=beside)
    content, json_bytes = encode_response(answer, asked.binary_outputs([tensor.name for tensor in answer.outputs]))
    if json_bytes is None:
        return HttpAnswer(200, JSON_MEDIA_TYPE, {}, content)
    return HttpAnswer(200, BINARY_MEDIA_TYPE, {HEADER_LENGTH: str(json_bytes)}, content)
