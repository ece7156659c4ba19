"""The state outsiders read: what it lists, and that it fits into a record."""

from typing import get_args

import msgspec
import pytest

from hotswap_events.alerts.events import AlertPolicy
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_events.registry.state import STATE_BYTES_MAX, VERSIONS_LISTED_MAX, RegistryState, VersionStage
from hotswap_stream.application.registry.fold import RegistryFold, Stream
from hotswap_stream.application.registry.view import encode_registry_state, registry_state
from hotswap_stream.domain.state.model import ModelState, Stage, VersionState
from tests.support.samples.alerts import FAILING, alert_policy_set, alert_raised
from tests.support.samples.registry import (
    EPOCH,
    IMPORTED,
    LogBuilder,
    promoted,
    rolled_back,
    staged,
    trained,
    validated,
)
from tests.support.samples.serving import STRICT


def fold(builder: LogBuilder) -> Stream:
    fold = RegistryFold()
    for record in builder.records:
        fold.apply(record)
    [stream] = fold.streams.values()
    return stream


def many(count: int, *, text: str = "x", stage: Stage = "archived") -> Stream:
    """A stream with versions v1 … v<count>, each with 60 tags of that text."""
    versions = {
        f"v{number}": VersionState(
            model_version=f"v{number}",
            stage=stage,
            artifact=ArtifactFacts(digest=f"sha256:{'a' * 64}", size_bytes=1),
            provenance=Provenance(
                origin="imported", created_by="alice", environment={f"e{i}": text for i in range(60)}
            ),
            registered_sequence=number,
            registered_at=EPOCH,
            run_id=None,
            metrics={},
            tags={f"t{i}": text for i in range(60)},
        )
        for number in range(1, count + 1)
    }
    return Stream(ModelState("digits", count, versions=versions), offset=count - 1)


def read(value: bytes) -> RegistryState:
    return msgspec.json.decode(value, type=RegistryState)


def test_a_state_tells_the_whole_story_of_a_model() -> None:
    builder = LogBuilder().append(trained("v1")).append(validated("v1"), promoted("v1")).append(trained("v2"))
    builder.append(validated("v2", "inconclusive", 0.93, ("v1", 0.97))).append(promoted("v2", "v1"))
    builder.append(rolled_back("v1", "v2")).append(trained("v3")).append(staged("v3"))
    stream = fold(builder)
    state = registry_state(stream)
    assert read(encode_registry_state(state)) == state
    assert (state.model_name, state.sequence, state.offset) == ("digits", 9, 8)
    assert (state.active_version, state.active_offset, state.former_version) == ("v1", 6, None)
    assert state.head_digest == builder.head()[1]
    assert (state.updated_at - EPOCH).total_seconds() == pytest.approx(0.008)
    assert state.versions_total == 3
    assert [(version.model_version, version.stage) for version in state.versions] == [
        ("v3", "staging"),
        ("v2", "archived"),
        ("v1", "production"),
    ]
    v3, v2, v1 = state.versions
    assert (v1.verdict, v2.verdict, v3.verdict) == ("passed", "inconclusive", None)
    assert v2.validation is not None
    assert v2.validation.figures == {"accuracy": 0.93}
    assert (v1.promotions_total, v1.production_sequences) == (2, (3, 7))
    assert v1.provenance == IMPORTED


def test_the_newest_are_listed_and_all_in_play_besides() -> None:
    stream = many(VERSIONS_LISTED_MAX + 50)
    stream.state.versions["v2"].stage = "production"
    stream.state.versions["v1"].stage = "staging"
    stream.state.active_version = "v2"
    state = registry_state(stream)
    names = [version.model_version for version in state.versions]
    assert names == [*(f"v{number}" for number in range(150, 50, -1)), "v2", "v1"]
    assert state.versions_total == 150
    assert len(registry_state(stream, versions_listed_max=None).versions) == 150
    assert len(registry_state(stream, versions_listed_max=1).versions) == 3


def test_the_list_of_promotions_is_limited() -> None:
    stream = many(1)
    stream.state.versions["v1"].production_sequences = tuple(range(1, 1_001))
    [version] = registry_state(stream).versions
    assert version.promotions_total == 1_000
    assert version.production_sequences == tuple(range(981, 1_001))


def test_a_large_state_loses_the_details_of_old_versions_first() -> None:
    stream = many(100, text="x" * 200)  # 25 kB a version
    stream.state.versions["v1"].stage = "production"
    stream.state.active_version = "v1"
    value = encode_registry_state(registry_state(stream))
    assert len(value) <= STATE_BYTES_MAX
    state = read(value)
    assert len(state.versions) == 100
    omitted = [version.details_omitted for version in state.versions]
    assert omitted == [*sorted(omitted[:-1]), False]  # newest first keep theirs, and so does the active one
    assert 20 < omitted.count(False) < 40
    bare = state.versions[-2]
    assert (bare.provenance, bare.tags, bare.artifact.size_bytes) == (None, {}, 1)


def test_a_state_that_is_too_large_even_so_lists_fewer_versions() -> None:
    stream = many(10_000, stage="staging")
    stream.state.versions["v1"].stage = "production"
    stream.state.active_version = "v1"
    value = encode_registry_state(registry_state(stream), bytes_max=50_000)
    assert len(value) <= 50_000
    state = read(value)
    assert state.versions_total == 10_000
    assert 20 < len(state.versions) < 1_000
    assert state.versions[0].model_version == "v10000"
    assert state.versions[-1].model_version == "v1"


def test_one_version_too_large_for_a_record_is_listed_without_its_details() -> None:
    stream = many(1, text="\x00" * 1_024)  # six bytes each in JSON
    stream.state.versions["v1"].stage = "production"
    stream.state.active_version = "v1"
    value = encode_registry_state(registry_state(stream), bytes_max=100_000)
    assert len(value) <= 100_000
    assert [version.details_omitted for version in read(value).versions] == [True]


def test_stages_are_the_same_words_inside_and_outside() -> None:
    assert get_args(VersionStage) == get_args(Stage)


def test_raised_alerts_are_listed_without_their_figures_so_that_the_state_always_fits() -> None:
    rules = tuple(msgspec.structs.replace(FAILING, name=f"{number:02}-{'r' * 60}") for number in range(16))
    figures = {f"{number:02}-{'ä' * 125}": 1.0 for number in range(64)}
    builder = LogBuilder().append(trained("v1")).append(alert_policy_set(AlertPolicy(rules=rules)))
    for rule in rules:
        builder.append(alert_raised(rule, 0.5, count=7, figures=figures, model_version="v1"))
    stream = fold(builder)
    assert len(msgspec.json.encode(stream.state.alerts.raised)) > 100_000
    value = encode_registry_state(registry_state(stream), bytes_max=20_000)
    assert len(value) <= 20_000
    state = read(value)
    assert [alert.rule for alert in state.alerts] == list(rules)
    assert (state.alerts[0].raised_sequence, state.alerts[0].value, state.alerts[0].count) == (3, 0.5, 7)
    assert state.alert_policy == AlertPolicy(rules=rules)
    assert [version.model_version for version in state.versions] == ["v1"]


def test_a_state_of_events_that_are_large_each_loses_its_largest_parts_and_says_so() -> None:
    """Four texts of 300 KB, each within its event, made a state that no topic takes, and ended the agents for good."""
    policy = msgspec.structs.replace(STRICT, fallback_version="v" * 300_000)
    state = msgspec.structs.replace(
        registry_state(fold(LogBuilder().append(trained("v1")))),
        serving_policy=policy,
        disabled=True,
        disabled_reason="because " * 50_000,
        unknown_event_type="t" * 350_000,
    )
    assert len(msgspec.json.encode(state)) > STATE_BYTES_MAX
    value = encode_registry_state(state)
    assert len(value) <= STATE_BYTES_MAX
    fitting = read(value)
    assert fitting.parts_omitted == ("disabled_reason",)
    assert (fitting.disabled, fitting.disabled_reason, fitting.serving_policy) == (True, None, policy)
    assert fitting.unknown_event_type == state.unknown_event_type
    smaller = read(encode_registry_state(state, bytes_max=5_000))
    assert smaller.parts_omitted == ("disabled_reason", "unknown_event_type", "serving_policy")
    assert [version.model_version for version in smaller.versions] == ["v1"]
