"""What all operations that ask a model have in common: limits, which version, and what errors become."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from litestar import Request

from hotswap_events.inference import ErrorCode, InferError, InferRequest, InferResponse
from hotswap_stream.api.problems import RETRY_AFTER_SECONDS, ProblemError, found
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.artifact_manifest import ArtifactManifest
from hotswap_stream.application.inference_gateway import (
    InferenceTimeoutError,
    InferenceUnavailableError,
    NoModelTopicsError,
    RequestTooLargeError,
)
from hotswap_stream.application.model_queries import find_model, find_version
from hotswap_stream.domain.state import VersionState
from hotswap_stream.errors import HotswapError

_RETRY_LATER = {"Retry-After": str(RETRY_AFTER_SECONDS)}

_STATUS: dict[ErrorCode, int] = {
    "request-unreadable": 400,
    "wrong-content-type": 400,
    "wrong-input": 400,
    "too-large": 413,
    "no-active-version": 503,
    "unknown-version": 404,
    "deadline-expired": 504,
    "model-disabled": 503,
    "model-failure": 500,
}


@contextmanager
def in_flight(runtime: ApiRuntime) -> Iterator[None]:
    """Hold a place. ProblemError (503) when all are taken."""
    limit = runtime.services.infer_in_flight_max
    if runtime.infer_in_flight >= limit:
        raise ProblemError(503, "busy", f"{limit} requests are in flight, no more are taken", headers=_RETRY_LATER)
    runtime.infer_in_flight += 1
    try:
        yield
    finally:
        runtime.infer_in_flight -= 1


def servable(runtime: ApiRuntime, model_name: str, model_version: str | None = None) -> VersionState:
    """The version in production, which must be the one named. ProblemError: 404 unknown, 400 another, 503 none."""
    streams = runtime.registry.fold.streams
    if model_version is None:
        found(find_model(streams, model_name))
    else:
        found(find_version(streams, model_name, model_version))
    active = streams[model_name].state.active
    if active is None:
        raise ProblemError(
            503, "no-active-version", f"model {model_name!r} has no active version; promote one", headers=_RETRY_LATER
        )
    if model_version not in (None, active.model_version):
        raise ProblemError(
            400,
            "version-not-active",
            f"version {model_version!r} of model {model_name!r} is not in production and cannot be asked; "
            f"{active.model_version!r} is",
        )
    return active


async def body_of(request: Request[Any, Any, Any], runtime: ApiRuntime, media_types: Collection[str]) -> bytes:
    """The request's body. ProblemError: 415 for another content type, 408 when it does not arrive in time."""
    content_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if content_type and content_type not in media_types:
        raise ProblemError(
            415, "wrong-content-type", f"content-type is {content_type[:100]!r}; {' or '.join(media_types)} is needed"
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise ProblemError(415, "wrong-content-encoding", f"content-encoding {encoding[:100]!r} is not understood")
    try:
        async with asyncio.timeout(runtime.services.infer_timeout_ms / 1000):
            return await request.body()
    except TimeoutError as error:
        raise ProblemError(408, "body-too-slow", "the body did not arrive in time") from error


async def ask(runtime: ApiRuntime, model_name: str, request: InferRequest, *, raw: bool) -> InferResponse:
    """The model's answer. ProblemError for an error answer, and when none comes."""
    gateway = runtime.services.inference
    if gateway is None:
        raise ProblemError(503, "inference-unavailable", "this server was started without a way to the models")
    try:
        answer = await gateway.infer(model_name, request, raw=raw, timeout_s=runtime.services.infer_timeout_ms / 1000)
    except RequestTooLargeError as error:
        raise ProblemError(413, "too-large", str(error)) from error
    except InferenceTimeoutError as error:
        raise ProblemError(504, "inference-timeout", f"{error}; does a worker serve it?") from error
    except (InferenceUnavailableError, NoModelTopicsError) as error:
        raise ProblemError(503, "inference-unavailable", str(error), headers=_RETRY_LATER) from error
    if isinstance(answer, InferError):
        status = _STATUS[answer.error_code]
        headers = _RETRY_LATER if status == 503 else None
        raise ProblemError(status, answer.error_code, answer.error, headers=headers)
    return answer


async def manifest_of(runtime: ApiRuntime, version: VersionState) -> ArtifactManifest:
    """What a version takes and gives. ProblemError (503) when its artifact cannot be read."""
    try:
        return await runtime.manifests.of(version.artifact.digest)
    except HotswapError as error:
        raise ProblemError(503, "artifact-unavailable", str(error), headers=_RETRY_LATER) from error
