"""Bytes ↔ events: what is written reads back, and whatever else is in the log comes back as a value that says why."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from hotswap_events.codec import REGISTRY_CODEC, Codec, UnknownEvent, UnreadableEvent, digest_of
from hotswap_events.envelope import GENESIS, Envelope
from hotswap_events.nesting import NESTING_MAX
from hotswap_events.registry.events import EVENT_TYPES, RegistryEvent
from tests.support.samples import alerts as alert_samples
from tests.support.samples import datasets as dataset_samples
from tests.support.samples import emergencies as emergency_samples
from tests.support.samples import rollouts as rollout_samples
from tests.support.samples import serving as serving_samples
from tests.support.samples import tags as tag_samples
from tests.support.samples import training as training_samples
from tests.support.samples import triggers as trigger_samples
from tests.support.samples import validation_sets as set_samples
from tests.support.samples.profiles import profiled
from tests.support.samples.registry import (
    archived,
    in_envelope,
    promoted,
    rolled_back,
    staged,
    trained,
    training_failed,
    training_started,
    validated,
)

ALL_EVENTS: tuple[RegistryEvent, ...] = (
    training_started(),
    training_failed(),
    trained("v1", "run-1"),
    validated("v1", baseline=("v0", 0.9)),
    staged("v1"),
    promoted("v1", "v0", forced=True),
    archived("v1"),
    rolled_back("v0", "v1"),
    *(data for data, _ in rollout_samples.DESCRIBED),
    *(data for data, _ in set_samples.DESCRIBED),
    *(data for data, _ in tag_samples.DESCRIBED),
    *(data for data, _ in training_samples.DESCRIBED),
    *(data for data, _ in trigger_samples.DESCRIBED),
    *(data for data, _ in serving_samples.DESCRIBED),
    *(data for data, _ in alert_samples.DESCRIBED),
    profiled(),
    *(data for data, _ in emergency_samples.DESCRIBED),
    *(data for data, _ in dataset_samples.DESCRIBED),
)


def stored(**changes: Any) -> dict[str, Any]:
    """The JSON object of a stored event, with changes; a value of None takes the field out."""
    document = json.loads(REGISTRY_CODEC.encode(in_envelope(staged("v1"))))
    document.update(changes)
    return {key: value for key, value in document.items() if value is not None}


def decode(document: object) -> object:
    return REGISTRY_CODEC.decode(json.dumps(document).encode())


def cause_of(value: bytes | None) -> str:
    decoded = REGISTRY_CODEC.decode(value)
    assert isinstance(decoded, UnreadableEvent), decoded
    return decoded.cause


@pytest.mark.parametrize("data", ALL_EVENTS, ids=lambda data: type(data).__name__)
def test_written_events_read_back(data: RegistryEvent) -> None:
    envelope = in_envelope(data, reason="because", traceparent="00-aa-bb-01")
    value = REGISTRY_CODEC.encode(envelope)
    assert REGISTRY_CODEC.decode(value) == envelope
    assert REGISTRY_CODEC.encode(envelope) == value


def test_every_event_type_is_covered_here() -> None:
    assert {type(data) for data in ALL_EVENTS} == set(EVENT_TYPES.values())


def test_stored_events_are_cloudevents() -> None:
    document = stored()
    assert document["specversion"] == "1.0"
    assert document["type"] == "hotswap.model.staged.v1"
    assert document["datacontenttype"] == "application/json"
    assert document["subject"] == "digits"
    assert document["previous"] == GENESIS
    # CloudEvents attribute names are lower-case letters and digits
    assert all(name.isalnum() and name.islower() for name in document)


def test_the_digest_is_sha256_of_the_bytes() -> None:
    assert digest_of(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_extension_attributes_of_others_are_passed_over() -> None:
    assert isinstance(decode(stored(partitionkey="x", dataschema="https://example.org")), Envelope)


class TestUnknownEvents:
    def test_a_newer_release_s_type_keeps_its_header(self) -> None:
        decoded = decode(stored(type="hotswap.model.frozen.v1", data={"until": "2030"}, sequence=7))
        assert isinstance(decoded, UnknownEvent)
        assert (decoded.header.type, decoded.header.sequence) == ("hotswap.model.frozen.v1", 7)

    def test_a_newer_version_of_a_known_type(self) -> None:
        assert isinstance(decode(stored(type="hotswap.model.staged.v2")), UnknownEvent)

    def test_even_without_data(self) -> None:
        assert isinstance(decode(stored(type="hotswap.model.frozen.v1", data=None)), UnknownEvent)

    def test_not_with_a_header_that_does_not_read(self) -> None:
        assert isinstance(decode(stored(type="hotswap.model.frozen.v1", sequence="7")), UnreadableEvent)


class TestUnreadableEvents:
    def test_tombstone(self) -> None:
        assert "no tombstones" in cause_of(None)

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b" ",
            b"null",
            b"{}",
            b"[]",
            b"7",
            b'"text"',
            b"{",
            b"\x00\x01\x02",
            b"\xff\xfe",
            b"1" * 10_000,
            b"\xef\xbb\xbf{}",
        ],
    )
    def test_garbage(self, value: bytes) -> None:
        assert "not a CloudEvents envelope" in cause_of(value)

    def test_not_utf8_inside_a_string(self) -> None:
        value = REGISTRY_CODEC.encode(in_envelope(staged("v1"), actor="alice"))
        assert "utf-8" in cause_of(value.replace(b"alice", b"al\xffce"))

    def test_half_a_surrogate_pair(self) -> None:
        assert "surrogate" in cause_of(json.dumps(stored(actor="\ud800")).encode())

    @pytest.mark.parametrize(
        "changes",
        [
            {"data": {"model_version": 1}},
            {"data": {}},
            {"data": []},
            {"data": None},
        ],
    )
    def test_data_that_does_not_fit_a_known_type(self, changes: dict[str, object]) -> None:
        assert "does not fit hotswap.model.staged.v1" in cause_of(json.dumps(stored(**changes)).encode())

    @pytest.mark.parametrize(
        "changes",
        [
            {"specversion": "0.3"},
            {"specversion": None},
            {"datacontenttype": "text/plain"},
            {"sequence": 0},
            {"sequence": -1},
            {"sequence": 1.5},
            {"sequence": True},
            {"time": "2026-01-01T00:00:00"},
            {"time": "yesterday"},
            {"subject": None},
            {"previous": 7},
            {"type": None},
            {"type": ["hotswap.model.staged.v1"]},
            {"causationid": None},
        ],
    )
    def test_headers_that_do_not_read(self, changes: dict[str, object]) -> None:
        assert isinstance(decode(stored(**changes)), UnreadableEvent)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
    def test_nesting_no_parser_s_stack_could_hold(self, opening: bytes) -> None:
        head = json.dumps(stored()).encode()[:-1] + b',"x":'
        for value in (opening * 100_000, head + opening * 100_000, head + opening * 900):
            assert isinstance(REGISTRY_CODEC.decode(value), UnreadableEvent)

    def test_nesting_is_judged_by_the_bytes_not_by_the_stack_of_the_reader(self) -> None:
        def nested(depth: int) -> bytes:
            value = json.dumps(stored(x=0, reason="r" * 2_000)).encode()
            return value.replace(b'"x": 0', b'"x": ' + b"[" * depth + b"]" * depth)

        assert isinstance(REGISTRY_CODEC.decode(nested(NESTING_MAX - 1)), Envelope)
        assert "nests deeper" in cause_of(nested(NESTING_MAX))

    def test_brackets_in_texts_do_not_nest(self) -> None:
        for text in ("[" * 5_000, '\\"[{' * 2_000, "{[" * 3_000 + "\\"):
            decoded = REGISTRY_CODEC.decode(REGISTRY_CODEC.encode(in_envelope(staged("v1"), reason=text)))
            assert isinstance(decoded, Envelope)
            assert decoded.reason == text


class OldPromotion(Struct, frozen=True):
    """What a first release wrote."""

    name: str


class LaterPromotion(Struct, frozen=True):
    """What a second one wrote."""

    model_version: str


class Promotion(Struct, frozen=True):
    """What today's release writes."""

    model_version: str
    forced: bool


class TestUpcasters:
    old_codec = Codec({"test.promoted.v1": OldPromotion})
    codec = Codec(
        {"test.promoted.v1": OldPromotion, "test.promoted.v2": LaterPromotion, "test.promoted.v3": Promotion},
        {
            OldPromotion: lambda old: LaterPromotion(model_version=f"v{old.name}"),
            LaterPromotion: lambda later: Promotion(model_version=later.model_version, forced=False),
        },
    )

    def old_value(self) -> bytes:
        attributes = {name: getattr(in_envelope(staged("x")), name) for name in Envelope.__struct_fields__}
        for name in ("specversion", "datacontenttype", "data"):
            del attributes[name]
        attributes["reason"] = "because"
        return self.old_codec.encode(self.old_codec.envelope(OldPromotion("1"), **attributes))

    def test_what_older_releases_wrote_reads_as_today_s(self) -> None:
        decoded = self.codec.decode(self.old_value())
        assert isinstance(decoded, Envelope)
        assert decoded.data == Promotion(model_version="v1", forced=False)

    def test_the_envelope_stays_what_it_was(self) -> None:
        old, new = self.old_codec.decode(self.old_value()), self.codec.decode(self.old_value())
        assert isinstance(old, Envelope)
        assert isinstance(new, Envelope)
        for name in set(Envelope.__struct_fields__) - {"data"}:
            assert getattr(new, name) == getattr(old, name)

    def test_a_link_of_the_chain_enters_in_the_middle(self) -> None:
        value = self.old_value().replace(b"test.promoted.v1", b"test.promoted.v2").replace(b"name", b"model_version")
        decoded = self.codec.decode(value)
        assert isinstance(decoded, Envelope)
        assert decoded.data == Promotion(model_version="1", forced=False)


def test_only_registered_data_can_be_wrapped() -> None:
    with pytest.raises(KeyError):
        REGISTRY_CODEC.envelope(OldPromotion("1"))


def test_type_names() -> None:
    assert REGISTRY_CODEC.type_name(staged("v1")) == "hotswap.model.staged.v1"
    for envelope_type in REGISTRY_CODEC.envelope_types:
        assert msgspec.structs.fields(envelope_type)
