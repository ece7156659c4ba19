"""What all operations that ask a model have in common: limits, which version, and what errors become."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from msgspec.structs import replace

from hotswap_events.inference.messages import InferError, InferRequest, InferResponse
from hotswap_stream.api.access.callers import caller_of
from hotswap_stream.api.inference.request_headers import AskedHeaders
from hotswap_stream.api.monitoring.readiness import troubles
from hotswap_stream.api.protocol.broker_away import require_broker
from hotswap_stream.api.protocol.problems import RETRY_AFTER_SECONDS, ProblemError, found
from hotswap_stream.api.runtime import ApiRuntime
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.inference.admission import NotAdmittedError, Place, RefusalKind, retry_after_seconds
from hotswap_stream.application.inference.gateway import (
    NOTHING_BESIDE,
    Beside,
    InferenceTimeoutError,
    InferenceUnavailableError,
    ModelOverloadedError,
    NoModelTopicsError,
    RequestTooLargeError,
)
from hotswap_stream.application.registry.queries import find_model, find_version
from hotswap_stream.domain.reserved import ANONYMOUS
from hotswap_stream.domain.state.model import VersionState
from hotswap_stream.errors import HotswapError
from hotswap_stream.observability.tracing import Tracing, active, traceparent_of

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


def retry_after(seconds: float) -> dict[str, str]:
    """Return the header, in whole seconds."""
    return {"Retry-After": str(retry_after_seconds(seconds))}


def in_flight(request: AskedHeaders, runtime: ApiRuntime) -> Place:
    """Take a place for the block in which the request is answered.

    Raises:
        ProblemError: 503 when all are taken, 429 for more than a share.
    """
    try:
        return runtime.admission.place(_caller_of(request, runtime))
    except NotAdmittedError as error:
        status, code = _REFUSALS[error.kind]
        raise ProblemError(status, code, str(error), headers=retry_after(error.retry_after_s)) from error


def _caller_of(request: AskedHeaders, runtime: ApiRuntime) -> str | None:
    """Return the name of the API key, whose share counts; those without a key have one share together."""
    name = caller_of(runtime, request.scope).name
    return name or (ANONYMOUS if runtime.access.has_keys else None)


def servable(runtime: ApiRuntime, model_name: str, model_version: str | None = None) -> VersionState:
    """Return the version named, else the one in production.

    Raises:
        ProblemError: 404 for an unknown or archived one, 503 where none is in production.
    """
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


def _sending(model_name: str, beside: Beside) -> AbstractContextManager[Beside]:
    """Give a record's headers, with a span of its own where the request's trace is kept."""
    tracing = active()
    if tracing is None or beside.traceparent is None:
        return nullcontext(beside)
    return _spanned(tracing, model_name, beside)


@contextmanager
def _spanned(tracing: Tracing, model_name: str, beside: Beside) -> Iterator[Beside]:
    """Have a span last until the answer is there."""
    attributes = {"messaging.system": "kafka", "messaging.operation.type": "send", "hotswap.model_name": model_name}
    with tracing.span(f"send requests.{model_name}", "producer", beside.traceparent, attributes) as span:
        yield replace(beside, traceparent=traceparent_of(span))


async def ask(
    runtime: ApiRuntime, model_name: str, request: InferRequest, *, raw: bool, beside: Beside = NOTHING_BESIDE
) -> InferResponse:
    """Send a request to a model, and return the model's answer.

    Args:
        runtime: The application's.
        model_name: The model to ask.
        request: What to ask. Its tensors may be TextTensors unless `raw`.
        raw: Whether tensors travel as bytes both ways; else as lists.
        beside: What the record carries in its headers.

    Raises:
        ProblemError: With the status that fits, for an error answer, and when no answer comes.
    """
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
        with _sending(model_name, beside) as beside:
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
    """Raise ProblemError (503) when no live worker has served the model for a while."""
    try:
        runtime.admission.check_worker(model_name)
    except NotAdmittedError as error:
        raise ProblemError(503, error.kind, str(error), headers=retry_after(error.retry_after_s)) from error


def require_progress(runtime: ApiRuntime, model_name: str) -> None:
    """Raise ProblemError (503) while requests of the model stand still."""
    found = troubles(runtime, model_name)
    if found:
        raise ProblemError(503, "stalled", "; ".join(found), headers=retry_after(RETRY_AFTER_SECONDS))


async def manifest_of(runtime: ApiRuntime, version: VersionState) -> ArtifactManifest:
    """Return what a version takes and gives. ProblemError (503) when its artifact cannot be read."""
    try:
        return await runtime.manifests.of(version.artifact.digest)
    except HotswapError as error:
        raise ProblemError(503, "artifact-unavailable", str(error), headers=retry_after(RETRY_AFTER_SECONDS)) from error
