"""RFC 9457 problem details: every answer that is not a success, from a refusal to a crash."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, NotFoundException, SerializationException, ValidationException
from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_stream.api.protocol.head_requests import allowing_head
from hotswap_stream.api.protocol.mlflow_form import is_mlflow, mlflow_error
from hotswap_stream.api.protocol.problem_codes import ERROR_STATUS, REFUSAL_STATUS, TITLES
from hotswap_stream.errors import HotswapError

_log = structlog.get_logger(__name__)

Found = TypeVar("Found")

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
OIP_PATH = "/v2"
TYPE_PREFIX = "urn:hotswap-stream:problem:"


class FieldError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing wrong with a request. `key` is where, with dots."""

    message: str
    key: str | None = None
    source: str | None = None
    """body, query, path or header."""


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457, and more: a stable code, the legal steps or the names that exist, the fields at fault."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    """The path that was asked."""
    code: str
    legal: tuple[str, ...] = ()
    errors: tuple[FieldError, ...] = ()
    command_id: str | None = None
    """Send the command again with this id: it cannot apply twice."""
    received_bytes: int | None = None
    """How far an upload came: go on there."""


class OipError(Struct, frozen=True):
    """The same under `/v2`, in the form of the Open Inference Protocol."""

    error: str


class ProblemError(Exception):
    """A problem that becomes the answer, raised where returning it would be a detour."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        legal: tuple[str, ...] = (),
        errors: tuple[FieldError, ...] = (),
        headers: Mapping[str, str] | None = None,
        command_id: str | None = None,
        received_bytes: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.legal = legal
        self.errors = errors
        self.headers = dict(headers or {})
        self.command_id = command_id
        self.received_bytes = received_bytes


def refused(refusal: Refusal, *, status: int | None = None, command_id: str | None = None) -> ProblemError:
    """Return the problem for a refusal."""
    return ProblemError(
        status or REFUSAL_STATUS[refusal.code],
        refusal.code,
        refusal.reason,
        legal=refusal.legal,
        command_id=command_id,
    )


def problem_of(error: HotswapError, *, command_id: str | None = None) -> ProblemError:
    """Return the problem for an error: 4xx if the caller can put it right, else 503 (with Retry-After if retriable)."""
    for error_type, status, code in ERROR_STATUS:
        if isinstance(error, error_type):
            received_bytes = getattr(error, "received_bytes", None)
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.retriable else {}
            return ProblemError(
                status, code, str(error), headers=headers, command_id=command_id, received_bytes=received_bytes
            )
    _log.warning("request_failed", error=str(error), retriable=error.retriable)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.retriable else {}
    return ProblemError(503, _code_of(error), str(error), headers=headers, command_id=command_id)


def found(answer: Found | Refusal) -> Found:
    """Return what was found; raise ProblemError for a refusal."""
    if isinstance(answer, Refusal):
        raise refused(answer)
    return answer


def is_oip(path: str) -> bool:
    """Return whether an error at this path is for a client of the Open Inference Protocol."""
    return path == OIP_PATH or path.startswith(f"{OIP_PATH}/")


def oip_error(status: int, detail: str, legal: tuple[str, ...] = ()) -> tuple[int, bytes]:
    """Return status and body of an error in the form of the Open Inference Protocol."""
    listed = f" (there are: {', '.join(legal)})" if legal else ""
    # The protocol has one status for whatever is wrong with a request.
    return 400 if status == 422 else status, msgspec.json.encode(OipError(f"{detail}{listed}"))


def problem_response(
    request: Request[Any, Any, Any],
    status: int,
    code: str,
    detail: str,
    *,
    legal: tuple[str, ...] = (),
    errors: tuple[FieldError, ...] = (),
    headers: Mapping[str, str] | None = None,
    command_id: str | None = None,
    received_bytes: int | None = None,
) -> Response[Any]:
    """Return a problem as a response; under `/v2` and MLflow's paths in the form that clients know there."""
    path = request.url.path
    if (other := _in_other_form(path, status, code, detail, legal)) is not None:
        return Response(other[1], status_code=other[0], media_type="application/json", headers=dict(headers or {}))
    return Response(
        _problem(
            path,
            status,
            code,
            detail,
            legal=legal,
            errors=errors,
            command_id=command_id,
            received_bytes=received_bytes,
        ),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def encoded_problem(path: str, error: ProblemError) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a problem, for what answers before the framework."""
    if (other := _in_other_form(path, error.status, error.code, error.detail, error.legal)) is not None:
        return other[0], {"content-type": "application/json", **error.headers}, other[1]
    problem = _problem(path, error.status, error.code, error.detail, legal=error.legal, command_id=error.command_id)
    return error.status, {"content-type": MEDIA_TYPE, **error.headers}, msgspec.json.encode(problem)


def _in_other_form(path: str, status: int, code: str, detail: str, legal: tuple[str, ...]) -> tuple[int, bytes] | None:
    """Return status and body where the path's clients read another form; None elsewhere."""
    if is_oip(path):
        return oip_error(status, detail, legal)
    return mlflow_error(status, code, detail) if is_mlflow(path) else None


def _problem(
    path: str,
    status: int,
    code: str,
    detail: str,
    *,
    legal: tuple[str, ...] = (),
    errors: tuple[FieldError, ...] = (),
    command_id: str | None = None,
    received_bytes: int | None = None,
) -> Problem:
    return Problem(
        type=f"{TYPE_PREFIX}{code}",
        title=TITLES.get(code, code.replace("-", " ").capitalize()),
        status=status,
        detail=detail,
        instance=path,
        code=code,
        legal=legal,
        errors=errors,
        command_id=command_id,
        received_bytes=received_bytes,
    )


def _on_problem(request: Request[Any, Any, Any], error: ProblemError) -> Response[Any]:
    return problem_response(
        request,
        error.status,
        error.code,
        error.detail,
        legal=error.legal,
        errors=error.errors,
        headers=error.headers,
        command_id=error.command_id,
        received_bytes=error.received_bytes,
    )


def _on_hotswap_error(request: Request[Any, Any, Any], error: HotswapError) -> Response[Any]:
    return _on_problem(request, problem_of(error))


def _code_of(error: HotswapError) -> str:
    """Return `log-unavailable` for a `LogUnavailableError`, and so on."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def _on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    if isinstance(error.__cause__, SerializationException):
        return _on_malformed(request, error.__cause__)
    if isinstance(error, ValidationException):
        return _on_invalid(request, error)
    code = _code_of_status(error.status_code)
    detail = error.detail
    if isinstance(error, NotFoundException):
        detail = f"nothing is at {request.url.path}; /schema lists what there is"
    elif error.status_code == 413:
        limit_bytes = request.route_handler.resolve_request_max_body_size()
        detail = f"the body has more than {limit_bytes} bytes; that is the most this takes"
    headers = dict(error.headers or {})
    if "allow" in headers:
        headers["allow"] = allowing_head(headers["allow"])
    return problem_response(request, error.status_code, code, detail, headers=headers)


def _on_invalid(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    extra = error.extra if isinstance(error.extra, list) else []
    errors = tuple(
        FieldError(message=str(item.get("message", "")), key=item.get("key"), source=_source(item.get("source")))
        for item in extra
        if isinstance(item, dict)
    )
    detail = "; ".join(f"{item.key}: {item.message}" if item.key else item.message for item in errors) or error.detail
    return problem_response(request, 422, "invalid-request", detail, errors=errors)


def _source(value: Any) -> str | None:
    return None if value is None else str(getattr(value, "value", value))


def _on_malformed(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    cause = error.__cause__ or error
    return problem_response(request, 400, "malformed-json", f"the body cannot be read as JSON: {cause}")


def _on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("request_crashed", path=request.url.path, exc_info=error)
    return problem_response(request, 500, "internal", "the cause is in the server's log")


def _code_of_status(status: int) -> str:
    return {
        401: "unauthorized",
        403: "forbidden",
        404: "not-found",
        405: "method-not-allowed",
        413: "body-too-large",
        429: "too-many-requests",
    }.get(status, "bad-request" if status < 500 else "internal")


EXCEPTION_HANDLERS: dict[int | type[Exception], Callable[..., Response[Any]]] = {
    ProblemError: _on_problem,
    HotswapError: _on_hotswap_error,
    HTTPException: _on_http_exception,
    SerializationException: _on_malformed,
    RecursionError: _on_malformed,
    UnicodeDecodeError: _on_malformed,
    Exception: _on_unexpected,
}
