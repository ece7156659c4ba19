"""The OpenAPI document says what is sent: the form of each error, one tag, keys, schemas that generators can read."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from hotswap_stream.api import openapi_document

METHODS = ("get", "put", "post", "delete", "patch")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from nodes(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from nodes(inner)


def form_at(path: str) -> tuple[str, str]:
    if path == "/v2" or path.startswith("/v2/"):
        return "application/json", "OipError"
    if path.startswith(("/api/2.0/mlflow/", "/api/2.0/mlflow-artifacts/")):
        return "application/json", "MlflowError"
    return "application/problem+json", "Problem"


def test_every_error_is_in_the_form_of_its_path(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        media_type, schema = form_at(path)
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "4"}
        assert {"400", "403", "500", "503"} <= errors.keys(), (method, path)
        for status, answer in errors.items():
            expected = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
            assert answer["content"] == expected, (method, path, status)
        assert ("422" in errors) <= (schema == "Problem"), (method, path)


def test_what_an_operation_takes_says_how_it_may_fail(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        answered = operation["responses"].keys()
        if "{" in path:
            assert "404" in answered, (method, path)
        if "requestBody" in operation:
            assert {"408", "413", "415"} <= answered, (method, path)
        for status in ("429", "503"):
            if status in answered:
                assert "Retry-After" in operation["responses"][status]["headers"]


def test_each_operation_has_one_tag_one_id_and_says_who_may(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    ids = Counter(operation["operationId"] for _, _, operation in operations(document))
    assert [name for name, count in ids.items() if count > 1] == []
    schemes = set(document["components"]["securitySchemes"])
    assert schemes == {"ApiKey", "Bearer"}
    for path, method, operation in operations(document):
        assert len(operation["tags"]) == 1, (method, path)
        assert operation["tags"][0] in tags
        security = operation.get("security", document["security"])
        assert {name for each in security for name in each} <= schemes
        if method != "get" and path.startswith("/api/models/"):
            assert security, (method, path)


def test_schemas_are_those_of_the_codec(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    referred = {node["$ref"] for node in nodes(document) if isinstance(node.get("$ref"), str)}
    there = {f"#/components/{kind}/{name}" for kind in ("schemas", "headers") for name in document["components"][kind]}
    assert referred <= there
    start = schemas["StartRolloutBody"]
    assert start["additionalProperties"] is False
    kinds = start["properties"]["strategy"]["discriminator"]
    assert kinds["propertyName"] == "kind"
    assert schemas["CanaryStrategy"]["properties"]["kind"]["enum"] == ["canary"]
    assert schemas["LogEntry"]["properties"]["offset"]["format"] == "int64"


def test_no_default_is_an_object(document: dict[str, Any]) -> None:
    """Generators write code for defaults, and for objects it does not compile: `RolloutPolicy.metrics` had one."""
    for node in nodes(document):
        default = node.get("default")
        values = default if isinstance(default, list) else [default]
        if "type" in node or "anyOf" in node or "$ref" in node:
            assert not any(isinstance(value, dict | list) for value in values), node
    metrics = document["components"]["schemas"]["RolloutPolicy"]["properties"]["metrics"]
    assert '"metric":"success-rate"' in metrics["description"]


def test_null_is_in_lists_of_types_and_nowhere_else_that_generators_trip_over(document: dict[str, Any]) -> None:
    """Java's generator writes a class for null beside a scalar, which is not there; Python's wants items in lists."""
    schemas = document["components"]["schemas"]
    for node in nodes(document):
        kinds = node.get("anyOf", node.get("oneOf", ()))
        if {"type": "null"} in kinds and len(kinds) == 2:
            assert all(each.get("type") not in ("string", "integer", "number", "boolean") for each in kinds), node
        if node.get("type") == "array":
            assert "items" in node, node
    assert schemas["AbortRolloutBody"]["properties"]["command_id"]["type"] == ["string", "null"]
    assert len(schemas["WireTensor"]["properties"]["datatype"]["enum"]) == 13
    for _path, _method, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            kinds = parameter["schema"].get("oneOf", ())
            assert {"type": "null"} not in kinds or len(kinds) > 2, parameter


def test_a_request_to_a_model_says_what_is_in_it(document: dict[str, Any]) -> None:
    for path in ("/v2/models/{model_name}/infer", "/v2/models/{model_name}/versions/{model_version}/infer"):
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/WireRequest")
        assert any(each["name"] == "Inference-Header-Content-Length" for each in operation["parameters"])
