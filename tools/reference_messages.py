"""Reference pages of events and messages: the fields from their schemas, and an example of each."""

import json
from collections.abc import Iterable, Sequence

from tools.json_schemas import JsonObject, message_schema
from tools.markdown import GENERATED, code, fenced, table
from tools.message_catalogue import (
    API_KEY,
    API_KEY_REVOKED,
    COMMAND_RESULT,
    COMMANDS,
    DEAD_LETTER,
    EVENTS,
    FLEET_RECORD,
    INFER_ERROR,
    INFER_REQUEST,
    INFER_RESPONSE,
    REGISTRY_STATE,
    TRAINING_PROGRESS,
    Message,
)
from tools.message_examples import message_examples

_PARTS: Sequence[tuple[str, str, Sequence[Message]]] = (
    ("Commands", "On `hotswap.commands`, keyed by model name; HTTP and the command line make the same ones.", COMMANDS),
    ("Results of commands", "On `hotswap.command-results`.", (COMMAND_RESULT,)),
    ("Requests and answers", "On `hotswap.requests.<model>` and `hotswap.responses.<model>`.", ()),
    ("Request", "", (INFER_REQUEST,)),
    ("Answer", "", (INFER_RESPONSE, INFER_ERROR)),
    ("State", "On `hotswap.registry-state` and `hotswap.fleet`, both compacted.", (REGISTRY_STATE, FLEET_RECORD)),
    ("Training", "On `hotswap.training-progress`, compacted.", (TRAINING_PROGRESS,)),
    ("Keys", "On `hotswap.keys`, compacted.", (API_KEY, API_KEY_REVOKED)),
    ("Dead letters", "On `hotswap.dead-letters`.", (DEAD_LETTER,)),
)


def events_page() -> str:
    """Return docs/reference/events.md."""
    envelope = message_schema(EVENTS[0])
    attributes = {name: schema for name, schema in envelope["properties"].items() if name not in ("type", "data")}
    parts = [
        GENERATED + "# Events\n\n"
        "Every value on `hotswap.registry` is one of these: a CloudEvents 1.0 JSON object (structured mode), whose "
        "`type` says which. The record key is the model name, the header `content-type` is "
        f"`{EVENTS[0].content_type}`. JSON Schemas: `schemas/events/`.\n\n"
        "## Attributes of every event\n\n"
        "| attribute | type | needed | what |\n| --- | --- | --- | --- |\n"
        "| `type` | string | yes | Stored name of the event, with its version; keeps its meaning for ever. |\n",
        _rows(attributes, envelope["required"]),
        "| `data` | object | yes | What happened; see below. |\n",
    ]
    for message in EVENTS:
        schema = message_schema(message)
        data = schema["$defs"].pop(schema["properties"]["data"]["$ref"].rpartition("/")[2])
        parts.append(f"\n## {message.name}\n\n{message.summary}\n\n")
        parts.append(_fields("data", data, schema["$defs"]))
        parts.append("\n" + _example(message))
    return "".join(parts)


def messages_page() -> str:
    """Return docs/reference/messages.md."""
    parts = [
        GENERATED + "# Messages\n\nEverything on topics that is not an event: commands and their results, requests "
        "and answers, state, dead letters. JSON unless said otherwise. JSON Schemas: `schemas/messages/`.\n"
    ]
    for title, where, messages in _PARTS:
        parts.append(f"\n## {title}\n" + (f"\n{where}\n" if where else ""))
        parts.extend(_message(message) for message in messages)
    return "".join(parts)


def _message(message: Message) -> str:
    parts = [f"\n### {message.name}\n\n{message.summary}\n\nKey: {message.key}\n\n"]
    if message.headers:
        parts.append(
            table(
                ("header", "needed", "what"),
                (
                    (
                        code(header.name),
                        "yes" if header.required else "",
                        header.description
                        + (f" One of {', '.join(map(code, header.values))}." if header.values else ""),
                    )
                    for header in message.headers
                ),
            )
            + "\n"
        )
    if message.payload is not None:
        schema = message_schema(message)
        parts.append(_fields("", schema, schema.get("$defs", {})) + "\n" + _example(message))
    return "".join(parts)


def _fields(path: str, schema: JsonObject, definitions: JsonObject) -> str:
    heading = f"| field of `{path}`" if path else "| field"
    parts = [f"{heading} | type | needed | what |\n| --- | --- | --- | --- |\n"]
    parts.append(_rows(schema["properties"], schema.get("required", ())))
    for name, definition in definitions.items():
        parts.append(f"\n`{name}`: {definition.get('description', '')}\n\n" + _fields("", definition, {}))
    return "".join(parts)


def _rows(properties: JsonObject, required: Iterable[str]) -> str:
    needed = set(required)
    whole = table(
        (),
        (
            (code(name), _type(schema), "yes" if name in needed else "", schema.get("description", ""))
            for name, schema in properties.items()
        ),
    )
    return "".join(whole.splitlines(keepends=True)[2:])


def _type(schema: JsonObject) -> str:
    if "$ref" in schema:
        return code(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if "enum" in schema:
        return " or ".join(code(json.dumps(value)) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"] if part.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    if schema.get("format") == "date-time":
        return "time, RFC 3339"
    return str(schema.get("type", "any"))


def _example(message: Message) -> str:
    return fenced(json.dumps(json.loads(message_examples()[message.name][0]), indent=2, ensure_ascii=False), "json")
