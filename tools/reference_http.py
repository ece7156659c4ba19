"""Reference page of the HTTP API, from its OpenAPI document."""

from collections.abc import Iterator
from typing import Any

from hotswap_stream.api import openapi_document
from tools.markdown import GENERATED, code, table

_METHODS = ("get", "post", "put", "patch", "delete")
_TAGS = (
    "inference",
    "models",
    "artifacts",
    "commands",
    "serving",
    "rollouts",
    "alerts",
    "webhooks",
    "training",
    "events",
    "mlflow",
    "keys",
    "health",
)
_TITLES = {"mlflow": "MLflow"}
_EVERYWHERE = {"Idempotency-Key", "If-Match", "X-Actor", "traceparent"}


def http_page() -> str:
    """Return docs/reference/http.md."""
    document = openapi_document()
    operations = list(_operations(document))
    unknown = {operation["tags"][0] for _, _, operation in operations} - set(_TAGS)
    if unknown:
        raise ValueError(f"no heading for the tags {sorted(unknown)}")
    parts = [
        GENERATED + "# HTTP API\n\n"
        "The server's own, complete description is its OpenAPI document (`schemas/openapi.json`, and under `/schema` "
        "while it runs). Every answer that is not a success is `application/problem+json`, "
        "under `/v2` the Open Inference Protocol's `{\"error\": …}`, and under `/api/2.0/mlflow` MLflow's "
        '`{"error_code": …, "message": …}`. All but health and metrics need an API key with '
        "the scope: `read` for GET, `infer` for asking models and for feedback, `operate` for all else, `admin` for "
        "keys and the clean-up.\n"
    ]
    for tag in _TAGS:
        chosen = [entry for entry in operations if entry[2]["tags"][0] == tag]
        rows = (
            (code(f"{method.upper()} {path}"), operation.get("description", ""), _parameters(operation, "query"))
            for method, path, operation in chosen
        )
        parts.append(
            f"\n## {_TITLES.get(tag, tag.capitalize())}\n\n" + table(("operation", "what", "query parameters"), rows)
        )
    headers = {
        parameter["name"]: parameter.get("description", "")
        for _, _, operation in operations
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header" and parameter["name"] in _EVERYWHERE
    }
    parts.append(
        "\n## Headers of operations that change state\n\n"
        + table(("header", "what"), ((code(name), what) for name, what in sorted(headers.items())))
    )
    return "".join(parts)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in sorted(document["paths"].items()):
        for method in _METHODS:
            if method in methods:
                yield method, path, methods[method]


def _parameters(operation: dict[str, Any], where: str) -> str:
    return ", ".join(
        code(parameter["name"]) for parameter in operation.get("parameters", ()) if parameter["in"] == where
    )
