"""A version is an artifact and its options: what may be asked for, what the event says, what the state keeps."""

from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from msgspec import json
from msgspec.structs import replace

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.registry.events import ModelTrained
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream.application.descriptions.event import describe
from hotswap_stream.application.registry.view import registry_version
from hotswap_stream.domain.decide import decide
from hotswap_stream.domain.deciding.decision import Accepted
from hotswap_stream.domain.deciding.twins import failed_twin
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.versions.options import EXECUTORS, PRECISIONS, wrong_options, wrong_options_for
from tests.support.decider_specification import given, state_after
from tests.support.samples.registry import artifact_of, in_envelope, register, trained, validated

BF16 = VersionOptions(precision="bf16")
OPTIONS = st.builds(
    VersionOptions,
    executor=st.none() | st.sampled_from([*EXECUTORS, "tensorrt", ""]),
    precision=st.sampled_from([*PRECISIONS, "int8", "F32", ""]),
)


def test_the_same_artifact_with_other_options_is_another_version() -> None:
    first = trained("v1")
    given(first).when(register("v2", artifact=first.artifact, options=BF16)).then(
        replace(trained("v2"), artifact=first.artifact, options=BF16)
    )
    state = state_after(first, replace(trained("v2"), artifact=first.artifact, options=BF16))
    assert [version.options for version in state.versions.values()] == [PLAIN, BF16]
    assert registry_version(state.versions["v1"]).options is None
    assert registry_version(state.versions["v2"]).options == BF16


@pytest.mark.parametrize("said", [None, PLAIN, VersionOptions(precision="f32")])
def test_an_event_says_nothing_of_options_that_are_the_usual_ones(said: VersionOptions | None) -> None:
    decision = given().when(register("v1", options=said)).decision
    assert isinstance(decision, Accepted)
    [event] = decision.events
    assert b"options" not in REGISTRY_CODEC.encode(in_envelope(event, sequence=1, subject="digits"))


def test_precision_is_left_out_of_an_event_where_it_is_the_usual_one() -> None:
    said = json.decode(b'{"executor": "openvino", "precision": "f32"}', type=VersionOptions)
    decision = given().when(register("v1", options=said)).decision
    assert isinstance(decision, Accepted)
    [event] = decision.events
    assert isinstance(event, ModelTrained)
    assert json.encode(event.options) == b'{"executor":"openvino"}'


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "int8"}, "precision 'int8' is not known; known are f32, bf16"),
        ({"precision": ""}, "precision '' is not known"),
        ({"executor": "tensorrt"}, "executor 'tensorrt' is not known; known are eager"),
        ({"executor": ""}, "executor '' is not known"),
        ({"executor": "onnxruntime", "precision": "bf16"}, "'onnxruntime' does not compute with bf16; openvino does"),
    ],
)
def test_what_cannot_be_is_refused_in_words(options: dict[str, Any], words: str) -> None:
    given().when(register("v1", options=VersionOptions(**options))).then_refused("invalid-value", words)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("onnx", VersionOptions(executor="eager"), "'eager' does not compute artifacts of kind 'onnx'"),
        ("runtime", BF16, "kind 'runtime' computes by itself"),
        ("runtime", VersionOptions(executor="openvino"), "kind 'runtime' computes by itself"),
        ("onnx", VersionOptions(precision="int4"), "precision 'int4' is not known"),
    ],
)
def test_what_an_artifact_cannot_be_computed_by_is_refused_in_words(
    kind: str, options: VersionOptions, words: str
) -> None:
    assert words in (wrong_options_for(kind, options) or "")


def test_a_failure_holds_for_the_same_precision_alone() -> None:
    other = VersionOptions(executor="onnxruntime")
    failed = given(trained("v2"), validated("v2", "failed", 0.1))
    again = failed.when(register("v3", artifact=artifact_of("v2"), options=other))
    again.then(replace(trained("v3"), artifact=artifact_of("v2"), options=other))
    again.and_says("that of v2, which failed validation")
    state = state_after(
        trained("v2"),
        validated("v2", "failed", 0.1),
        replace(trained("v3"), artifact=artifact_of("v2"), options=BF16),
        replace(trained("v4"), artifact=artifact_of("v2"), options=VersionOptions(executor="openvino")),
    )
    assert [failed_twin(state, state.versions[name]) for name in ("v3", "v4")] == [None, "v2"]


@pytest.mark.parametrize("kind", ["architecture", "onnx", "runtime"])
def test_no_options_fit_every_kind(kind: str) -> None:
    assert wrong_options_for(kind, PLAIN) is None
    assert wrong_options_for(kind, None) is None


@examples(OPTIONS, OPTIONS)
def test_registering_again_changes_nothing_and_options_are_kept(first: VersionOptions, second: VersionOptions) -> None:
    state = ModelState("digits")
    for number, options in enumerate((first, second), 1):
        command = register(artifact=artifact_of("v1"), options=options, command_id=f"c{number}", model_name="digits")
        decision = decide(state, command)
        assert isinstance(decision, Accepted) == (wrong_options(options) is None)
        if not isinstance(decision, Accepted):
            continue
        for event in decision.events:
            state = evolve(
                state, in_envelope(event, sequence=state.sequence + 1, subject="digits", causationid=command.command_id)
            )
        again = decide(state, command)
        assert isinstance(again, Accepted)
        assert again.events == ()
    kept = [version.options for version in state.versions.values()]
    assert kept == [options for options in (first, second) if wrong_options(options) is None]


def test_descriptions_name_the_options() -> None:
    event = replace(trained("v1"), options=VersionOptions(executor="openvino", precision="bf16"))
    assert "openvino bf16" in describe(in_envelope(event, sequence=1, subject="digits"))
