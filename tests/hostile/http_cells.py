"""The HTTP role: each operation of the OpenAPI document, with each of its parameters and the fields of its body made
hostile."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from tests.hostile.fields import Family
from tests.hostile.kinds import DEEP, HUGE_BYTES, KINDS, fragments
from tests.hostile.places import HOSTAGE, MODEL
from tests.support.checkout import ROOT

PLACE = "HTTP"
DOCUMENT = ROOT / "schemas" / "openapi.json"
ASKING = ("/v2", "/api/predict")
"""Paths that are about the model that answers, as all queries are; all others are about one that nobody looks after."""
TRAINING = "/training-runs"
"""An order with every default is right, and begins a run of minutes: these are wrong in the number of epochs, too."""
_BODY_BYTES = 6 * 1024**2
_OCTETS = "application/octet-stream"
_METHODS = ("get", "put", "post", "delete", "patch")


class HttpCell(Struct, frozen=True, kw_only=True):
    """One request: everything right but one thing."""

    place: str = PLACE
    method: str
    path: str
    where: str
    kind: str
    way: str
    target: str
    """Path and query as they are sent: bytes that are no text are percent-encoded."""
    headers: tuple[tuple[str, bytes], ...] = ()
    body: bytes | None = None

    def __str__(self) -> str:
        return f"HTTP: {self.method} {self.path}, {self.where}, {self.kind} ({self.way})"


_TEXTS: dict[tuple[str, str], str] = {
    ("empty", "empty"): "",
    ("huge", "10 KB"): "x" * 10_000,
    ("wrong type", "a word"): "seventeen",
    ("extreme number", "10^30"): "1" + "0" * 30,
    ("extreme number", "-2^63"): str(-(2**63)),
    ("NaN", "NaN"): "NaN",
    ("not UTF-8", "bytes"): "%ff%fe",
    ("not UTF-8", "NUL"): "%00",
    ("from the future", "the year 9999"): quote("9999-12-31T23:59:59-14:00"),
    ("from the past", "the year 1"): quote("0001-01-01T00:00:00+14:00"),
}
"""Kind and way → what stands in a path or a query."""
_HEADERS: dict[tuple[str, str], bytes] = {
    ("empty", "empty"): b"",
    ("huge", "10 KB"): b"x" * 10_000,
    ("wrong type", "a word"): b"seventeen words of nobody",
    ("extreme number", "10^30"): b"1" + b"0" * 30,
    ("not UTF-8", "bytes"): b"\xff\xfe",
}


_FILES: dict[tuple[str, str], bytes] = {
    ("empty", "no bytes"): b"",
    ("huge", "6 MB"): b"\x08\x09" * (_BODY_BYTES // 2),
    ("deep", "a protobuf in itself"): b"\x3a\xff\xff\x03" * 10_000,
    ("wrong type", "a pickle"): b"\x80\x04cos\nsystem\n.",
    ("wrong type", "gzip"): b"\x1f\x8b" + b"\0" * 100,
    ("wrong type", "a safetensors header alone"): b"\x10\0\0\0\0\0\0\0{",
    ("extreme number", "a header of 2^63 bytes"): b"\xff" * 7 + b"\x7f{}",
    ("not UTF-8", "bytes"): b"\xff\xfe",
}
"""Kind and way → what a file has in it."""


_IN_PATHS = {
    "model_version": "v1",
    "rule_name": "no-such-rule",
    "upload_id": "0" * 32,
    "alias": "canary",
    "file_path": "models/hostage/v1/MLmodel",
    "request_partition": "0",
    "request_offset": "0",
}
"""What stands in a path where it is not what the cell makes hostile."""


def http_matrix() -> list[HttpCell]:
    """All cells, in the order of the document."""
    document = msgspec.json.decode(DOCUMENT.read_bytes())
    found: list[HttpCell] = []
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                found += _of_operation(document, method.upper(), path, operations[method])
    return found


def _of_operation(document: Any, method: str, path: str, operation: Any) -> Iterator[HttpCell]:
    model_name = MODEL if method == "GET" or path.startswith(ASKING) else HOSTAGE
    # A name that a newer route has in its path stands for nothing that is there.
    right = defaultdict(lambda: "no-such", {"model_name": model_name, **_IN_PATHS})
    schema = _body_schema(document, operation)
    body = None if schema is None else msgspec.json.encode(_sample(document, schema, path))
    content_type = b"application/json"
    if schema is None and _OCTETS in operation.get("requestBody", {}).get("content", {}):
        body, content_type = b"seventeen bytes..", _OCTETS.encode()

    def cell(where: str, kind: str, way: str, **changes: Any) -> HttpCell:
        named = {"content-type": content_type} if body is not None else {}
        sent = {"target": path.format_map(right), "body": body, "headers": tuple(named.items()), **changes}
        return HttpCell(method=method, path=path, where=where, kind=kind, way=way, **sent)

    for parameter in operation.get("parameters", []):
        name, place = parameter["name"], parameter["in"]
        if place == "header":
            named = (("content-type", content_type),) if body is not None else ()
            for (kind, way), sent in _HEADERS.items():
                yield cell(f"header {name}", kind, way, headers=(*named, (name.lower(), sent)))
            continue
        for (kind, way), text in _TEXTS.items():
            target = (
                path.format_map(right | {name: text}) if place == "path" else f"{path.format_map(right)}?{name}={text}"
            )
            yield cell(f"{place} {name}", kind, way, target=target)
    if schema is not None:
        yield from _bodies(document, schema, path, cell, _sample(document, schema, path))
    elif body is not None:
        for (kind, way), sent in _FILES.items():
            yield cell("body", kind, way, body=sent)
        for other in (b"", b"application/json", b"multipart/form-data; boundary=x", b"\xff"):
            yield cell("body", "wrong type", f"as {other!r}", headers=(("content-type", other),))


def _bodies(document: Any, schema: Any, path: str, cell: Any, sample: Any) -> Iterator[HttpCell]:
    whole: dict[tuple[str, str], bytes | None] = {
        ("huge", "6 MB"): b'{"a":"%s"}' % (b"x" * _BODY_BYTES),
        ("deep", "arrays"): b"[" * DEEP + b"]" * DEEP,
        ("deep", "objects"): b'{"a":' * DEEP,
        ("wrong type", "a list"): b"[]",
        ("wrong type", "a number"): b"17",
        ("wrong type", "null"): b"null",
        ("extreme number", "400 digits"): b"9" * 400,
        ("NaN", "NaN"): b"NaN",
        ("not UTF-8", "bytes"): b"\xff\xfe",
    }
    if not path.endswith(TRAINING):
        whole |= {("empty", "an object"): b"{}", ("empty", "no bytes"): b"", ("empty", "no body"): None}
    for (kind, way), sent in whole.items():
        yield cell("body", kind, way, body=sent)
    for content_type in (b"text/csv", b"application/msgpack", b"multipart/form-data; boundary=x", b"\xff"):
        if not path.endswith(TRAINING):
            yield cell("body", "wrong type", f"as {content_type!r}", headers=(("content-type", content_type),))
    for name, found in _resolved(document, schema).get("properties", {}).items():
        family = _family(document, found)
        for kind in KINDS:
            for way, fragment in fragments(kind, family, "json").items():
                if len(fragment) <= HUGE_BYTES + 100:
                    changed = msgspec.json.encode({**sample, name: msgspec.Raw(fragment)})
                    yield cell(f"body.{name}", kind, way, body=changed)


def _body_schema(document: Any, operation: Any) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("schema")


def _resolved(document: Any, schema: Any) -> Any:
    """Without references; of several that may be, the first that is not null."""
    while True:
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        elif "oneOf" in schema or "anyOf" in schema:
            choices = schema.get("oneOf") or schema["anyOf"]
            schema = next((each for each in choices if each.get("type") != "null"), choices[0])
        else:
            return schema


def _family(document: Any, schema: Any) -> Family:
    schema = _resolved(document, schema)
    families: dict[str, Family] = {"integer": "number", "number": "number", "boolean": "flag", "array": "list"}
    if schema.get("type") == "object":
        return "object" if "properties" in schema else "map"
    if schema.get("type") == "string":
        return "choice" if "enum" in schema else "time" if schema.get("format") == "date-time" else "text"
    return families.get(str(schema.get("type")), "any")


def _sample(document: Any, schema: Any, path: str) -> dict[str, Any]:
    """Something for each field that must be there."""
    if path.startswith("/v2/models"):
        return {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}]}
    if path.endswith(TRAINING):
        return {"epochs": 0}
    found = _resolved(document, schema)
    properties = found.get("properties", {})
    return {name: _value(document, properties[name]) for name in found.get("required", ()) if name in properties}


def _value(document: Any, schema: Any, depth: int = 4) -> Any:
    found = _resolved(document, schema)
    if "enum" in found or "const" in found:
        return found.get("const", found.get("enum", [None])[0])
    kind = found.get("type")
    if kind == "object":
        names = found.get("required", ()) if depth else ()
        return {name: _value(document, found["properties"][name], depth - 1) for name in names}
    if kind == "array":
        return [_value(document, found["items"], depth - 1)] if depth and "items" in found else []
    values = {"integer": 1, "number": 0.5, "boolean": False, "string": "v1"}
    return values.get(str(kind))
