"""The committed schemas are those of the code, are valid themselves, and describe the bytes that we write."""

import json
import re
from datetime import datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from hotswap_events import headers
from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand
from hotswap_events.envelope import Envelope
from hotswap_events.topics import Topics
from hotswap_stream.application.audit.export import read_export
from tools.channel_catalogue import channels
from tools.generate_schemas import SCHEMAS, differences, schema_files, write
from tools.message_catalogue import EVENTS, MESSAGES, Message
from tools.message_examples import message_examples

WITH_PAYLOAD = [message for message in MESSAGES if message.payload is not None]
_HISTORIES = SCHEMAS.parent / "events" / "histories"
_FORMATS = FormatChecker([])


@_FORMATS.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_date_time(instance: object) -> bool:
    return not isinstance(instance, str) or datetime.fromisoformat(instance).tzinfo is not None


def _named(message: Message) -> str:
    return message.name


@cache
def _files() -> dict[str, str]:
    return schema_files()


@cache
def _validator(message_name: str) -> Draft202012Validator:
    (message,) = (found for found in MESSAGES if found.name == message_name)
    schema = json.loads((SCHEMAS / message.file).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=_FORMATS)


def test_no_schema_has_a_format_that_nobody_checks() -> None:
    """`binary` and `int64` are OpenAPI's words: for bytes, which no JSON holds, and for the width of a number."""
    found = {
        name
        for path in SCHEMAS.rglob("*")
        if path.suffix in {".json", ".yaml"}
        for name in re.findall(r'"?format"?: "?([a-z0-9-]+)', path.read_text(encoding="utf-8"))
    }
    assert found - {"binary", "int64"} == set(_FORMATS.checkers)


def test_the_committed_schemas_are_those_of_the_code() -> None:
    assert differences(SCHEMAS, _files()) == [], "run: python -m tools.generate_schemas"


def test_a_drift_is_named(tmp_path: Path) -> None:
    files = _files()
    write(tmp_path, files)
    assert differences(tmp_path, files) == []
    promoted, stale = "events/hotswap.model.promoted.v1.schema.json", "messages/forgotten.schema.json"
    (tmp_path / promoted).write_text("{}", encoding="utf-8")
    (tmp_path / "asyncapi.yaml").unlink()
    (tmp_path / stale).write_text("{}", encoding="utf-8")
    (tmp_path / "README.md").write_text("ours", encoding="utf-8")
    assert differences(tmp_path, files) == [
        "missing: asyncapi.yaml",
        f"no longer generated: {stale}",
        f"changed: {promoted}",
    ]
    write(tmp_path, files)
    assert differences(tmp_path, files) == []
    assert (tmp_path / "README.md").exists()


@pytest.mark.parametrize("message", WITH_PAYLOAD, ids=_named)
def test_each_schema_is_valid_and_fits_what_we_write(message: Message) -> None:
    validator = _validator(message.name)
    examples = message_examples()[message.name]
    assert examples
    for example in examples:
        validator.validate(json.loads(example))


@pytest.mark.parametrize("message", WITH_PAYLOAD, ids=_named)
def test_what_we_show_as_an_example_can_be_read(message: Message) -> None:
    assert message.payload is not None
    for example in message_examples()[message.name]:
        assert isinstance(msgspec.json.decode(example, type=message.payload), message.payload)


@pytest.mark.parametrize("message", WITH_PAYLOAD, ids=_named)
def test_each_required_field_is_missed(message: Message) -> None:
    validator = _validator(message.name)
    whole: dict[str, Any] = json.loads(message_examples()[message.name][0])
    for name in validator.schema["required"]:
        assert not validator.is_valid({key: value for key, value in whole.items() if key != name}), name


@pytest.mark.parametrize("message", EVENTS, ids=_named)
def test_an_event_schema_refuses_other_events(message: Message) -> None:
    event = json.loads(message_examples()[message.name][0])
    others = [other for other in EVENTS if other is not message]
    assert not any(_validator(other.name).is_valid(event) for other in others)
    assert not _validator(message.name).is_valid(event | {"previous": "0"})
    assert not _validator(message.name).is_valid(event | {"sequence": 0})
    assert not _validator(message.name).is_valid(event | {"time": "yesterday"})


@pytest.mark.parametrize("message", EVENTS, ids=_named)
def test_event_attributes_have_names_that_cloudevents_allows(message: Message) -> None:
    names = set(_validator(message.name).schema["properties"])
    assert {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"} <= names
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in names)


def test_the_golden_histories_fit_the_schemas() -> None:
    """Every event in them that counts as one; a disturbed history holds records that are none, too."""
    validated = 0
    for path in sorted(_HISTORIES.rglob("*.jsonl")):
        for record in read_export(BytesIO(path.read_bytes())):
            if record.value is not None and isinstance(REGISTRY_CODEC.decode(record.value), Envelope):
                event = json.loads(record.value)
                _validator(event["type"]).validate(event)
                validated += 1
    assert validated > 20


def test_nothing_is_left_out_of_the_catalogue() -> None:
    names = {message.name for message in MESSAGES}
    assert set(REGISTRY_CODEC.type_names.values()) <= names
    union = msgspec.inspect.type_info(AnyCommand)
    assert isinstance(union, msgspec.inspect.UnionType)
    assert {info.tag for info in union.types if isinstance(info, msgspec.inspect.StructType)} <= names
    known = {header.name for message in MESSAGES for header in message.headers}
    assert known == {value for name, value in vars(headers).items() if name.isupper()}
    described = {channel.spec.name for channel in channels()}
    assert {spec.name for spec in Topics().control_specs()} <= described
    on_a_channel = {message.name for channel in channels() for message in channel.messages}
    assert on_a_channel == names
