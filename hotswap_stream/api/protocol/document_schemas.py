"""The schemas of the OpenAPI document, from the codec itself.

Litestar's leave out what generators and testers need most: tags of unions, lengths of lists and keys, and whether a
body may have other fields. msgspec, which reads the bodies and writes the answers, knows all that.
"""

from collections.abc import Iterable, Iterator
from inspect import cleandoc
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute
from msgspec import Struct

from hotswap_events.bounds import INT64_MAX
from hotswap_stream.errors import HotswapError

JsonObject = dict[str, Any]

REFERENCE = "#/components/schemas/"
INT32_MAX = 2**31 - 1
_NULL = {"type": "null"}
_SCALARS = frozenset({"string", "integer", "number", "boolean", "null"})


def exact_schemas(app: Litestar) -> dict[str, JsonObject]:
    """Return name → schema of all that handlers of the application take and give."""
    types = list(dict.fromkeys(_types_of(app)))
    _, components = msgspec.json.schema_components(types, ref_template=REFERENCE + "{name}")
    # Defaults are objects of the classes until then.
    schemas: dict[str, JsonObject] = msgspec.to_builtins(components)
    for schema in schemas.values():
        _mend(schema)
    return schemas


def check_named(document: JsonObject, schemas: JsonObject) -> None:
    """Raise HotswapError if the document names a schema that is not among these."""
    missing = sorted(name for name in _references(document["paths"]) if name not in schemas)
    if missing:
        raise HotswapError(f"the OpenAPI document names {missing}, which no handler takes or gives")


def _types_of(app: Litestar) -> Iterator[Any]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                yield from _structs(handler.parsed_return_field.annotation)
                if (read_by_hand := getattr(handler.operation_class, "body_type", None)) is not None:
                    yield read_by_hand
                if handler.parsed_data_field is not None:
                    yield from _structs(handler.parsed_data_field.annotation)
                for response in (handler.responses or {}).values():
                    yield from _structs(response.data_container)


def _structs(annotation: Any) -> Iterator[Any]:
    """Return the classes in an annotation that have schemas of their own."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, Struct):
            yield annotation
    else:
        for inner in get_args(annotation):
            yield from _structs(inner)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(reference := node.get("$ref"), str) and reference.startswith(REFERENCE):
            yield reference.removeprefix(REFERENCE)
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def mend_parameter(schema: Any) -> None:
    """Mend the schema of a parameter, which is Litestar's: bounds of integers are floats there, and round."""
    kinds = [each for each in schema.get("oneOf", ()) if each != _NULL]
    if len(kinds) == 1:  # no address says null: what may be left out is left out
        schema |= kinds[0]
        del schema["oneOf"]
    for each in (schema, *schema.get("oneOf", ())):
        for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            if each.get("type") == "integer" and bound in each:
                each[bound] = min(int(each[bound]), INT64_MAX)
    _mend(schema)


def _mend(schema: Any) -> None:
    """Say what generators need in their words, and take away what most of them cannot read."""
    if isinstance(schema, list):
        for inner in schema:
            _mend(inner)
    if not isinstance(schema, dict):
        return
    for name, inner in schema.items():
        if name == "properties":
            for property_schema in inner.values():
                _mend(property_schema)
        elif name not in ("default", "enum", "required", "examples"):
            _mend(inner)
    if isinstance(text := schema.get("description"), str):
        schema["description"] = cleandoc(text)  # as Python 3.13 and newer keep it: the document is the same on all
    if schema.get("type") == "integer" and schema.get("maximum", INT32_MAX + 1) > INT32_MAX:
        schema.setdefault("format", "int64")
    if "discriminator" in schema:
        schema["oneOf"] = schema.pop("anyOf")
    if schema == {"type": "array"}:
        schema["items"] = {}
    _join_scalars(schema)
    if "default" in schema and not _plain(schema):
        # Generators write the code of a default, and those tried cannot for objects, nor where null is allowed as well.
        text = msgspec.json.encode(schema.pop("default")).decode()
        if "$ref" not in schema:
            schema["description"] = f"{schema.get('description', '')} Default: {text}.".strip()


def _join_scalars(schema: JsonObject) -> None:
    """Write scalars, null among them, as a list of types: the generator for Java has no class for null."""
    kinds = schema.get("anyOf", [])
    if kinds and all(each.keys() == {"enum"} for each in kinds):  # else generators make a class of each part
        del schema["anyOf"]
        schema["enum"] = [value for each in kinds for value in each["enum"]]
        return
    if not kinds or any(each.get("type") not in _SCALARS for each in kinds):
        return
    one_of_them_or_null = len(kinds) == (_NULL in kinds) + 1
    if not one_of_them_or_null and any(each.keys() - {"type", "format"} for each in kinds):
        return
    first = next(each for each in kinds if each != _NULL)
    schema |= {**(first if one_of_them_or_null else {}), "type": [each["type"] for each in kinds]}
    del schema["anyOf"]


def _plain(schema: JsonObject) -> bool:
    default = schema["default"]
    if default is None:
        return True
    values: Iterable[Any] = default if isinstance(default, list | tuple) else (default,)
    return "type" in schema and not any(isinstance(value, dict | list) for value in values)
