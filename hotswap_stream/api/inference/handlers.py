"""Asking models over HTTP, in the form of the Open Inference Protocol v2, with its binary tensor extension."""

from typing import Any

from litestar import Request, Response, post
from litestar.openapi.datastructures import ResponseSpec

from hotswap_stream.api.access.scopes import needs
from hotswap_stream.api.inference.infer import infer_answer
from hotswap_stream.api.protocol.openapi import TensorBodyOperation
from hotswap_stream.api.protocol.parameters import ModelNameInPath, VersionInPath
from hotswap_stream.api.protocol.problems import OipError
from hotswap_stream.api.runtime import ApiRuntime, Runtime
from hotswap_stream.application.inference.binary_tensors import WireResponse

_ERRORS = {
    400: "The request is wrong",
    404: "No such model or version, or the version is archived",
    409: "The id was seen before, and `hotswap-repeated-id: refused` was sent",
    413: "The request is too large",
    415: "Another content type",
    429: "Too many requests with this API key: try again later",
    500: "The model failed",
    502: "The workers do not know pinned versions",
    503: "No active version, no worker, or too many requests: try again later",
    504: "No answer in time",
}
ERROR_RESPONSES = {
    status: ResponseSpec(OipError, generate_examples=False, description=description)
    for status, description in _ERRORS.items()
}

HttpRequest = Request[Any, Any, Any]


@post(
    "/models/{model_name:str}/infer",
    status_code=200,
    operation_id="infer",
    opt=needs("infer"),
    operation_class=TensorBodyOperation,
    tags=["inference"],
    responses=ERROR_RESPONSES,
)
async def infer(request: HttpRequest, runtime: Runtime, model_name: ModelNameInPath) -> Response[WireResponse]:
    """Ask the version in production. JSON, or JSON followed by raw tensors; errors are `{"error": …}`."""
    return await _response(request, runtime, model_name, None)


@post(
    "/models/{model_name:str}/versions/{model_version:str}/infer",
    status_code=200,
    operation_id="infer_version",
    opt=needs("infer"),
    operation_class=TensorBodyOperation,
    tags=["inference"],
    responses=ERROR_RESPONSES,
)
async def infer_version(
    request: HttpRequest, runtime: Runtime, model_name: ModelNameInPath, model_version: VersionInPath
) -> Response[WireResponse]:
    """Ask a named version, in production or not."""
    return await _response(request, runtime, model_name, model_version)


async def _response(
    request: HttpRequest, runtime: ApiRuntime, model_name: str, model_version: str | None
) -> Response[WireResponse]:
    answer = await infer_answer(runtime, request.scope, request.receive, model_name, model_version)
    # Encoded already; the type is what the OpenAPI document says of the body.
    return Response(
        answer.body,  # type: ignore[arg-type]
        status_code=answer.status,
        media_type=answer.media_type,
        headers=answer.headers,
    )
