"""Errors in MLflow's form, for its clients: a code that they know, and a message that they show."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

PATHS = ("/api/2.0/mlflow", "/api/2.0/mlflow-artifacts", "/api/3.0/mlflow")
"""Below these, all that is no success has this form. What MLflow has at the others is not here; its clients ask."""


class MlflowError(Struct, frozen=True):
    """What went wrong. The same code as MLflow's servers use, so that clients do the same about it."""

    error_code: str
    message: str


_BY_CODE: Mapping[str, tuple[int, str]] = {
    "illegal-step": (409, "INVALID_STATE"),
    "not-exportable": (409, "INVALID_STATE"),
    "sequence-mismatch": (409, "RESOURCE_CONFLICT"),
    "conflict": (409, "RESOURCE_CONFLICT"),
    "duplicate-version": (400, "RESOURCE_ALREADY_EXISTS"),
    "already-exists": (400, "RESOURCE_ALREADY_EXISTS"),
    "not-carried": (501, "NOT_IMPLEMENTED"),
    "not-found": (404, "ENDPOINT_NOT_FOUND"),
    "method-not-allowed": (405, "ENDPOINT_NOT_FOUND"),
    "malformed-json": (400, "MALFORMED_REQUEST"),
}
_BY_STATUS: Mapping[int, tuple[int, str]] = {
    401: (401, "UNAUTHENTICATED"),
    403: (403, "PERMISSION_DENIED"),
    404: (404, "RESOURCE_DOES_NOT_EXIST"),
    408: (408, "DEADLINE_EXCEEDED"),
    409: (409, "RESOURCE_CONFLICT"),
    412: (409, "RESOURCE_CONFLICT"),
    413: (413, "INVALID_PARAMETER_VALUE"),
    429: (429, "REQUEST_LIMIT_EXCEEDED"),
    500: (500, "INTERNAL_ERROR"),
    503: (503, "TEMPORARILY_UNAVAILABLE"),
    504: (504, "DEADLINE_EXCEEDED"),
}


def is_mlflow(path: str) -> bool:
    """Return whether an error at this path is for a client of MLflow."""
    return any(path == each or path.startswith(f"{each}/") for each in PATHS)


def mlflow_error(status: int, code: str, detail: str) -> tuple[int, bytes]:
    """Return status and body. A refusal never has a status at which MLflow's clients try again by themselves."""
    default = (400, "INVALID_PARAMETER_VALUE") if status < 500 else (500, "INTERNAL_ERROR")
    found, error_code = _BY_CODE.get(code) or _BY_STATUS.get(status) or default
    if found == 401:
        detail = f"{detail}; MLflow's clients send what is in MLFLOW_TRACKING_TOKEN"
    return found, msgspec.json.encode(MlflowError(error_code, detail))
