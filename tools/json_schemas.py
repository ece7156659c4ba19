"""JSON Schema (2020-12) of messages: what msgspec derives from the classes, with our names and field descriptions.

Only keywords that draft-07 knows as well are used, so that AsyncAPI tools read the same schemas.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from hotswap_events.codec import ALL_EVENT_TYPES, REGISTRY_CODEC
from hotswap_events.inference.messages import InferTensor
from tools.field_docs import field_docs, one_line
from tools.message_catalogue import Message

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NEWER_THAN_DRAFT_07 = frozenset(
    {"prefixItems", "dependentRequired", "dependentSchemas", "unevaluatedItems", "unevaluatedProperties", "minContains"}
)

JsonObject = dict[str, Any]


def schema_components(messages: Iterable[Message], ref_template: str) -> tuple[dict[str, str], dict[str, JsonObject]]:
    """Return message name → reference, and all components by class name; references are made by `ref_template`."""
    with_payload = [(message.name, message.payload) for message in messages if message.payload is not None]
    references, components = msgspec.json.schema_components(
        [payload for _, payload in with_payload], ref_template=ref_template
    )
    classes = _classes(payload for _, payload in with_payload)
    for name, component in components.items():
        _polish(component, classes[name])
    return (
        {name: reference["$ref"] for (name, _), reference in zip(with_payload, references, strict=True)},
        components,
    )


def message_schema(message: Message) -> JsonObject:
    """Return the schema of one message as a document of its own."""
    references, components = schema_components([message], "#/$defs/{name}")
    root = references[message.name].removeprefix("#/$defs/")
    return {
        "$schema": DIALECT,
        "$id": f"urn:hotswap-stream:{message.folder}:{message.name}",
        "title": message.name,
        "description": message.summary,
        **{name: value for name, value in components.pop(root).items() if name != "description"},
        **({"$defs": dict(sorted(components.items()))} if components else {}),
    }


def _classes(roots: Iterable[type[Struct]]) -> dict[str, type]:
    found: dict[str, type] = {}
    waiting: list[Any] = list(msgspec.inspect.multi_type_info(list(roots)))
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls.__name__ in found:
                continue
            found[info.cls.__name__] = info.cls
            waiting.extend(field.type for field in info.fields)
        elif isinstance(info, msgspec.inspect.UnionType):
            waiting.extend(info.types)
        elif isinstance(info, msgspec.inspect.DictType):
            waiting.extend((info.key_type, info.value_type))
        elif hasattr(info, "item_type"):
            waiting.append(info.item_type)
        elif hasattr(info, "item_types"):
            waiting.extend(info.item_types)
    return found


def _polish(component: JsonObject, owner: type) -> None:
    if owner is InferTensor:
        # As JSON a tensor is a list; raw bytes exist in msgpack only, which JSON Schema does not describe.
        component["properties"]["data"] = {"type": "array"}
    component.pop("title", None)
    description = owner.__doc__
    if owner in REGISTRY_CODEC.envelope_types:
        tag = component["properties"]["type"]["enum"][0]
        description = ALL_EVENT_TYPES[tag].__doc__
    if description:
        component["description"] = one_line(description)
    docs = field_docs(owner)
    for name, schema in component.get("properties", {}).items():
        _simplify(schema)
        if name in docs and "$ref" not in schema:
            schema["description"] = docs[name]


def _simplify(schema: JsonObject) -> None:
    if unreadable := _NEWER_THAN_DRAFT_07 & schema.keys():
        raise ValueError(f"{sorted(unreadable)} cannot be said in draft-07; write the class in another way")
    # OpenAPI's own keyword; the constant tag of each alternative says the same.
    schema.pop("discriminator", None)
    values = schema.get("enum")
    if values is not None and len(values) == 1:
        del schema["enum"]
        schema["const"] = values[0]
    for nested in (*schema.get("anyOf", ()), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(nested, dict):
            _simplify(nested)
