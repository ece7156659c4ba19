"""The OpenAPI document as it is handed out: Litestar's, with every answer that is no success in the form it is sent in.

Which statuses an operation may answer follows from what it is: where it is, what it takes, whether it needs a key. So
they are said here once; handlers name the ones that are theirs alone, or that have words of their own.
"""

from collections.abc import Iterator
from copy import deepcopy

from litestar import Litestar

from hotswap_events.bounds import INT64_MAX
from hotswap_stream.api.protocol.document_schemas import (
    REFERENCE,
    JsonObject,
    check_named,
    exact_schemas,
    mend_parameter,
)
from hotswap_stream.api.protocol.mlflow_form import is_mlflow
from hotswap_stream.api.protocol.parameters import AFTER, reads_the_log
from hotswap_stream.api.protocol.problems import MEDIA_TYPE, is_oip

METHODS = ("get", "put", "post", "delete", "patch")

_SHARED_HEADERS: dict[str, JsonObject] = {
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 0},
        "description": "Seconds to wait before the next try.",
    },
    "RateLimit-Policy": {
        "schema": {"type": "string"},
        "description": 'What a key may, where that is the reason: `"key";q=REQUESTS;w=SECONDS`.',
    },
    "RateLimit": {
        "schema": {"type": "string"},
        "description": 'What is left of it, and for how long: `"key";r=0;t=SECONDS`.',
    },
    "X-Request-Id": {
        "schema": {"type": "string"},
        "description": "On every answer: the caller's own, or one made for this request. The server's log has it.",
    },
}


def _shared(*names: str) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


_HEADERS: dict[str, JsonObject] = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "How to show a key."}},
    "429": _shared("Retry-After", "RateLimit-Policy", "RateLimit"),
    "503": _shared("Retry-After"),
}
_ETAG = {
    "schema": {"type": "string"},
    "description": "Of which state the answer is: send it as If-None-Match; a model's sequence as If-Match, too.",
}
_STREAM = "text/event-stream"
_NOT_MODIFIED: JsonObject = {
    "description": "As the client has it, by If-None-Match",
    "headers": {"ETag": _ETAG},
}
_IF_NONE_MATCH: JsonObject = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "ETag of an answer that the client has: if nothing changed, 304 comes without a body.",
}
_AFTER: JsonObject = {
    "name": AFTER,
    "in": "query",
    "required": False,
    "schema": {"type": "integer", "minimum": 0, "maximum": INT64_MAX},
    "description": "Offset of a record that the answer must know of, as a command's answer names it: whichever server "
    "is asked waits for it, up to 5 s.",
}
WITH_ETAG = frozenset(
    {
        "get_model",
        "get_legal_steps",
        "get_serving",
        "get_serving_policy",
        "get_rollout",
        "list_model_alerts",
        "get_alert_policy",
        "get_triggers",
        "list_models",
        "list_versions",
        "list_rollouts",
        "list_datasets",
        "list_training_runs",
    }
)
"""Queries whose answer has an ETag: the model's sequence, or of all models the end of the log."""
_LINK = {
    "schema": {"type": "string"},
    "description": 'Where the next page is, as `<…>; rel="next"`; absent on the last.',
}
WITH_LINK = frozenset({"list_events", "list_models", "list_versions", "list_windows"})
"""Lists that come in pages: each names the next one in a header, too."""

_EVERYWHERE = {
    "400": "The request cannot be read",
    "403": "A page of another site, another name as Host, or a key that may not",
    "500": "Something went wrong here; the cause is in the server's log",
    "503": "Not now: try again later",
}


def finished(app: Litestar, document: JsonObject) -> JsonObject:
    """Return the document of an application, from what Litestar makes of it.

    Raises:
        HotswapError: It names a schema that no handler takes or gives.
    """
    document, schemas = deepcopy(document), exact_schemas(app)
    check_named(document, schemas)
    paths = {
        path: {
            method: _operation(path, method, operation) if method in METHODS else operation
            for method, operation in item.items()
        }
        for path, item in document["paths"].items()
    }
    return {
        **document,
        "paths": paths,
        "components": {
            **document["components"],
            "headers": _SHARED_HEADERS,
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _operation(path: str, method: str, operation: JsonObject) -> JsonObject:
    if method == "get":
        operation = _query(path, operation)
    said = operation["responses"]
    successes = {status: _success(status, answer) for status, answer in said.items() if status.startswith("2")}
    words = {
        status: answer["description"]
        for status, answer in said.items()
        if not status.startswith("2") and not _is_litestars(answer)
    }
    words = dict(_usual(path, operation)) | words
    if _in_other_form(path):
        words.pop("422", None)
    errors = {
        status: {
            "description": words[status],
            "content": _content(path),
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
        for status in sorted(words)
    }
    for parameter in operation.get("parameters", ()):
        mend_parameter(parameter["schema"])
    kept = {} if operation["operationId"] not in WITH_ETAG else {"304": _NOT_MODIFIED}
    return {**operation, "responses": {**successes, **kept, **errors}}


def _success(status: str, answer: JsonObject) -> JsonObject:
    """Return a success as it is sent: 204 has no body, and a stream's schema is that of its messages, not of itself."""
    answer = {**answer, "headers": {**answer.get("headers", {}), **_shared("X-Request-Id")}}
    if status == "204":
        return {name: value for name, value in answer.items() if name != "content"}
    stream = answer.get("content", {}).get(_STREAM)
    if stream is None or "$ref" not in stream["schema"]:
        return answer
    # `contentSchema` says what the text is made of, and holds no validator to it.
    return {**answer, "content": {_STREAM: {"schema": {"contentSchema": stream["schema"]}}}}


def _query(path: str, operation: JsonObject) -> JsonObject:
    """Return a query with what queries have in common."""
    parameters, responses = list(operation.get("parameters", ())), dict(operation["responses"])
    if reads_the_log(path):
        parameters.append(_AFTER)
    if operation["operationId"] in WITH_ETAG:
        parameters.append(_IF_NONE_MATCH)
        responses["200"] = {**responses["200"], "headers": {**responses["200"].get("headers", {}), "ETag": _ETAG}}
    if operation["operationId"] in WITH_LINK:
        responses["200"] = {**responses["200"], "headers": {**responses["200"].get("headers", {}), "Link": _LINK}}
    return {**operation, "parameters": parameters, "responses": responses} if parameters else operation


def _usual(path: str, operation: JsonObject) -> Iterator[tuple[str, str]]:
    yield from _EVERYWHERE.items()
    if "{" in path:
        yield "404", "There is no such thing; `legal` lists what there is"
    if path.startswith("/api/"):
        yield "422", "There is no such parameter"
    if operation.get("parameters"):
        yield "422", "A value is not valid, or there is no such parameter"
    if "requestBody" in operation:
        yield "408", "The body came too slowly"
        yield "413", "The body is too large"
        yield "415", "The body is of another content type"
        yield "422", "A value is not valid, there is no such parameter, or there is no body"
    if "security" not in operation or any(operation["security"]):
        yield "401", "A key is needed"
        yield "429", "The key asks more often than it may: try again later"


def _is_litestars(answer: JsonObject) -> bool:
    """Return whether an answer is what Litestar would send for a request that does not fit; ours is sent instead."""
    return any("status_code" in each.get("schema", {}).get("properties", {}) for each in answer["content"].values())


def _in_other_form(path: str) -> bool:
    return is_oip(path) or is_mlflow(path)


def _content(path: str) -> JsonObject:
    if is_oip(path):
        return {"application/json": {"schema": {"$ref": f"{REFERENCE}OipError"}}}
    if is_mlflow(path):
        return {"application/json": {"schema": {"$ref": f"{REFERENCE}MlflowError"}}}
    return {MEDIA_TYPE: {"schema": {"$ref": f"{REFERENCE}Problem"}}}
