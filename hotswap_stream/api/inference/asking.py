"""What all operations that ask a model have in common: limits, which version, and what errors become."""

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from litestar import Request

from hotswap_events import headers as header_names
from hotswap_events.inference import InferError, InferRequest, InferResponse
from hotswap_stream.api.commands.context import TRACEPARENT
from hotswap_stream.api.monitoring.readiness import troubles
from hotswap_stream.api.protocol.authorization import ANONYMOUS, key_name
from hotswap_stream.api.protocol.broker_away import require_broker
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError, found
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.inference.admission import NotAdmittedError, RefusalKind, retry_after_seconds
from hotswap_stream.application.inference.gateway import (
    DEADLINE_SECONDS_MAX,
    NOTHING_BESIDE,
    Beside,
    InferenceTimeoutError,
    InferenceUnavailableError,
    ModelOverloadedError,
    NoModelTopicsError,
    RequestTooLargeError,
)
from hotswap_stream.application.registry.queries import find_model, find_version
from hotswap_stream.domain.state.model import VersionState
from hotswap_stream.errors import HotswapError

DEADLINE_DIGITS_MAX = 15

_ROUTING_KEY = header_names.ROUTING_KEY.encode()
_TRACEPARENT = header_names.TRACEPARENT.encode()
_REPEATED_ID = header_names.REPEATED_ID.encode()
_DEADLINE = header_names.DEADLINE.encode()

_OF_BROWSERS = {"origin", "referer", "cookie", "sec-fetch-site", "sec-fetch-mode"}

_REFUSALS: dict[RefusalKind, tuple[int, str]] = {
    "busy": (503, "busy"),
    "no-worker": (503, "no-worker"),
    "share-used-up": (429, "too-many-requests"),
}

_STATUS: dict[str, int] = {
    "request-unreadable": 400,
    "wrong-content-type": 400,
    "wrong-input": 400,
    "too-large": 413,
    "no-active-version": 503,
    "unknown-model": 404,
    "unknown-version": 404,
    "version-unavailable": 503,
    "duplicate-id": 409,
    "deadline-expired": 504,
    "model-disabled": 503,
    "circuit-open": 503,
    "model-failure": 500,
}


class AskedHeaders(Protocol):
    """What is needed of a request to ask a model: Litestar's requests have it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name in lower case."""
        ...

    @property
    def scope(self) -> Mapping[str, Any]:
        """Of ASGI."""
        ...


def retry_after(seconds: float) -> dict[str, str]:
    """The header, in whole seconds."""
    return {"Retry-After": str(retry_after_seconds(seconds))}


@contextmanager
def in_flight(request: AskedHeaders, runtime: ApiRuntime) -> Iterator[None]:
    """Hold a place. ProblemError: 503 when all are taken, 429 when the caller has its share."""
    try:
        with runtime.admission.place(_caller_of(request, runtime)):
            yield
    except NotAdmittedError as error:
        status, code = _REFUSALS[error.kind]
        raise ProblemError(status, code, str(error), headers=retry_after(error.retry_after_s)) from error


def _caller_of(request: AskedHeaders, runtime: ApiRuntime) -> str | None:
    """The name of the API key, whose share counts; those without a key have one share together."""
    keys = runtime.services.api_keys
    if not keys:
        return None
    return key_name(request.headers, keys) or ANONYMOUS


def servable(runtime: ApiRuntime, model_name: str, model_version: str | None = None) -> VersionState:
    """The version named, else the one in production. ProblemError: 404 unknown or archived, 503 none in production."""
    streams = runtime.registry.fold.streams
    stream = streams.get(model_name)
    if stream is None:
        found(find_model(streams, model_name))  # raises, and lists the names there are
    elif model_version is not None:
        version = stream.state.versions.get(model_version)
        if version is not None:
            if version.stage == "archived":
                raise ProblemError(404, "version-archived", f"version {model_version!r} of {model_name!r} is archived")
            return version
        found(find_version(streams, model_name, model_version))
    elif stream.state.active is not None:
        return stream.state.active
    raise ProblemError(
        503,
        "no-active-version",
        f"model {model_name!r} has no active version; promote one",
        headers=retry_after(RETRY_AFTER_SECONDS),
    )


def beside_of(request: AskedHeaders, model_version: str | None = None) -> Beside:
    """What the request's headers pass on to its record. ProblemError: 400 what does not fit, 504 too late already.

    The protocol's id is the caller's own label, and clients repeat it, so by HTTP it may repeat unless they say no.
    """
    routing_key = traceparent = deadline_s = None
    repeated_id_allowed = True
    for name, value in request.scope["headers"]:
        if name == _ROUTING_KEY:
            routing_key = value
        elif name == _TRACEPARENT:
            text = value.decode("latin-1")
            traceparent = text if TRACEPARENT.fullmatch(text) else None  # as W3C asks, a wrong one is passed over
        elif name == _DEADLINE:
            deadline_s = _seconds_until(value)
        elif name == _REPEATED_ID:
            repeated_id_allowed = value != b"refused"
    try:
        return Beside(
            routing_key=None if routing_key is None else routing_key.decode(),
            model_version=model_version,
            traceparent=traceparent,
            deadline_s=deadline_s,
            repeated_id_allowed=repeated_id_allowed,
        )
    except ValueError as error:
        raise ProblemError(400, "invalid-header", f"{header_names.ROUTING_KEY}: {error}") from error


def _seconds_until(deadline_ms: bytes) -> float:
    if not deadline_ms.isdigit() or len(deadline_ms) > DEADLINE_DIGITS_MAX:
        raise ProblemError(
            400,
            "invalid-header",
            f"{header_names.DEADLINE} is {deadline_ms[:50]!r}; milliseconds since 1970 are needed",
        )
    seconds = int(deadline_ms) / 1_000 - time.time()
    if seconds <= 0:
        raise ProblemError(504, "deadline-expired", f"the deadline was {-seconds:.3f} s ago")
    return min(seconds, DEADLINE_SECONDS_MAX)


def check_content(request: AskedHeaders, media_types: Collection[str]) -> None:
    """ProblemError (415) for another content type, or a compressed body.

    Without one only for what is no browser: clients of the protocol leave it out, and so may a page of another site.
    """
    content_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if content_type not in media_types and (content_type or _OF_BROWSERS & request.headers.keys()):
        raise ProblemError(
            415, "wrong-content-type", f"content-type is {content_type[:100]!r}; {' or '.join(media_types)} is needed"
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise ProblemError(415, "wrong-content-encoding", f"content-encoding {encoding[:100]!r} is not understood")


async def body_of(request: Request[Any, Any, Any], runtime: ApiRuntime, media_types: Collection[str]) -> bytes:
    """The request's body. ProblemError: 415 for another content type, 408 when it does not arrive in time."""
    check_content(request, media_types)
    try:
        async with asyncio.timeout(runtime.services.infer_timeout_ms / 1000):
            return await request.body()
    except TimeoutError as error:
        raise ProblemError(408, "body-too-slow", "the body did not arrive in time") from error


async def ask(
    runtime: ApiRuntime, model_name: str, request: InferRequest, *, raw: bool, beside: Beside = NOTHING_BESIDE
) -> InferResponse:
    """The model's answer. ProblemError for an error answer, and when none comes."""
    services = runtime.services
    gateway = services.inference
    if gateway is None:
        raise ProblemError(503, "inference-unavailable", "this server was started without a way to the models")
    timeout_s = services.infer_timeout_ms / 1_000
    if beside.deadline_s is not None:
        timeout_s = min(timeout_s, beside.deadline_s)
    require_broker(runtime, code="inference-unavailable")
    require_worker(runtime, model_name)
    try:
        answer = await gateway.infer(
            model_name,
            request,
            raw=raw,
            timeout_s=timeout_s,
            beside=beside,
            wait_s_max=services.infer_wait_ms_max / 1_000,
        )
    except ModelOverloadedError as error:
        raise ProblemError(503, "overloaded", str(error), headers=retry_after(error.retry_after_s)) from error
    except RequestTooLargeError as error:
        raise ProblemError(413, "too-large", str(error)) from error
    except InferenceTimeoutError as error:
        require_broker(
            runtime, code="inference-unavailable"
        )  # or it went away with the request in it, which is answered when it is back
        raise ProblemError(504, "inference-timeout", str(error)) from error
    except (InferenceUnavailableError, NoModelTopicsError) as error:
        raise ProblemError(
            503, "inference-unavailable", str(error), headers=retry_after(RETRY_AFTER_SECONDS)
        ) from error
    if isinstance(answer, InferError):
        status = _STATUS.get(answer.error_code, 500)
        headers = retry_after(RETRY_AFTER_SECONDS) if status == 503 else None
        raise ProblemError(status, answer.error_code, answer.error, headers=headers)
    if beside.model_version not in (None, answer.model_version):
        raise ProblemError(
            502,
            "wrong-version",
            f"version {beside.model_version!r} was asked and {answer.model_version!r} answered: the workers are of a "
            "release that does not know pinned versions",
        )
    return answer


def require_worker(runtime: ApiRuntime, model_name: str) -> None:
    """ProblemError (503) when no live worker has served the model for a while."""
    try:
        runtime.admission.check_worker(model_name)
    except NotAdmittedError as error:
        raise ProblemError(503, error.kind, str(error), headers=retry_after(error.retry_after_s)) from error


def require_progress(runtime: ApiRuntime, model_name: str) -> None:
    """ProblemError (503) while requests of the model stand still."""
    found = troubles(runtime, model_name)
    if found:
        raise ProblemError(503, "stalled", "; ".join(found), headers=retry_after(RETRY_AFTER_SECONDS))


async def manifest_of(runtime: ApiRuntime, version: VersionState) -> ArtifactManifest:
    """What a version takes and gives. ProblemError (503) when its artifact cannot be read."""
    try:
        return await runtime.manifests.of(version.artifact.digest)
    except HotswapError as error:
        raise ProblemError(503, "artifact-unavailable", str(error), headers=retry_after(RETRY_AFTER_SECONDS)) from error
