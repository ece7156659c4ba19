"""A version whose inputs or outputs differ gets the active one's requests only if somebody says that it may."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from msgspec.structs import replace

from hotswap_events.commands import AnyCommand
from hotswap_events.inference.signature import ModelSignature, TensorSignature
from hotswap_events.registry.events import ArtifactFacts, RegistryEvent
from hotswap_events.rollouts.strategy import CanaryStrategy
from hotswap_stream.domain.deciding.decision import Accepted
from hotswap_stream.domain.deciding.signatures import breaking_differences
from tests.support.decider_specification import given
from tests.support.samples.registry import (
    artifact_of,
    promote,
    promoted,
    register,
    roll_back,
    rolled_back,
    switch,
    trained,
    validated,
)
from tests.support.samples.rollouts import CANARY, SHADOW, change_strategy, rollout_started, start_rollout

X = TensorSignature(name="x", datatype="FP32", shape=(-1, 4))
Y = TensorSignature(name="y", datatype="FP32", shape=(-1, 2))
OLD = ModelSignature(inputs=(X,), outputs=(Y,))


def of(name: str, shape: tuple[int, ...] = (-1, 4), datatype: Any = "FP32") -> TensorSignature:
    return TensorSignature(name=name, datatype=datatype, shape=shape)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (ModelSignature(inputs=(of("pixels"),), outputs=(Y,)), "it needs an input 'pixels' FP32 [-1, 4]"),
        (ModelSignature(inputs=(of("pixels"),), outputs=(Y,)), "it has no input 'x'"),
        (ModelSignature(inputs=(X, of("mask")), outputs=(Y,)), "it needs an input 'mask'"),
        (ModelSignature(inputs=(of("x", datatype="FP64"),), outputs=(Y,)), "'x' is FP64 [-1, 4] instead of FP32"),
        (ModelSignature(inputs=(of("x", (-1, 5)),), outputs=(Y,)), "'x' is FP32 [-1, 5] instead of FP32 [-1, 4]"),
        (ModelSignature(inputs=(of("x", (-1, 2, 2)),), outputs=(Y,)), "'x' is FP32 [-1, 2, 2]"),
        (ModelSignature(inputs=(of("x", (1, 4)),), outputs=(Y,)), "'x' is FP32 [1, 4]"),
        (ModelSignature(inputs=(X,), outputs=(of("z", (-1, 2)),)), "it has no output 'y'"),
        (ModelSignature(inputs=(X,), outputs=(of("y", (-1, 3)),)), "output 'y' is FP32 [-1, 3]"),
        (ModelSignature(inputs=(X,), outputs=(of("y", (-1, -1)),)), "output 'y' is FP32 [-1, -1]"),
    ],
)
def test_what_would_break_requests_is_named(other: ModelSignature, words: str) -> None:
    assert any(words in found for found in breaking_differences(OLD, other))


@pytest.mark.parametrize(
    "other",
    [
        OLD,
        ModelSignature(inputs=(of("x", (-1, -1)),), outputs=(Y,)),
        ModelSignature(inputs=(X,), outputs=(of("label", (-1,), "INT64"), Y)),
        ModelSignature(inputs=(X,), outputs=(Y,), batching="request"),
    ],
    ids=["same", "wider input", "more outputs", "one by one"],
)
def test_what_takes_all_and_returns_more_breaks_nothing(other: ModelSignature) -> None:
    assert breaking_differences(OLD, other) == []


tensors = st.builds(
    of,
    st.sampled_from(["a", "b", "c"]),
    st.lists(st.sampled_from([-1, 1, 2]), max_size=3).map(tuple),
    st.sampled_from(["FP32", "INT64"]),
)
tensor_lists = st.lists(tensors, min_size=1, max_size=3, unique_by=lambda spec: spec.name).map(tuple)
signatures = st.builds(ModelSignature, inputs=tensor_lists, outputs=tensor_lists)


@examples(signatures)
def test_every_signature_goes_with_itself(signature: ModelSignature) -> None:
    assert breaking_differences(signature, signature) == []


@examples(signatures, signatures, signatures)
def test_what_breaks_nothing_twice_breaks_nothing(
    first: ModelSignature, second: ModelSignature, third: ModelSignature
) -> None:
    if not breaking_differences(first, second) and not breaking_differences(second, third):
        assert breaking_differences(first, third) == []


def facts(name: str, signature: ModelSignature | None) -> ArtifactFacts:
    return replace(artifact_of(name), signature=signature)


WIDE = ModelSignature(inputs=(of("x", (-1, 5)),), outputs=(Y,))


def two(first: ModelSignature | None = OLD, second: ModelSignature | None = WIDE) -> tuple[RegistryEvent, ...]:
    """v1 in production, v2 fit for it."""
    return (
        replace(trained("v1"), artifact=facts("v1", first)),
        validated("v1"),
        promoted("v1"),
        replace(trained("v2"), artifact=facts("v2", second)),
        validated("v2", baseline=("v1", 0.97)),
    )


Making = Callable[..., AnyCommand]
GIVES_REQUESTS: list[Making] = [
    partial(promote, "v2"),
    partial(switch, "v2"),
    partial(start_rollout, CANARY, "v2"),
    partial(start_rollout, SHADOW, "v2"),
]


@pytest.mark.parametrize("command", GIVES_REQUESTS, ids=["promote", "switch", "canary", "shadow"])
def test_it_needs_a_word(command: Making) -> None:
    given(*two()).when(command()).then_refused(
        "illegal-step", "input 'x' is FP32 [-1, 5] instead of FP32 [-1, 4]", "--allow-signature-change"
    )
    allowed = given(*two()).when(command(allow_signature_change=True)).decision
    assert isinstance(allowed, Accepted)
    assert allowed.events


@pytest.mark.parametrize("command", GIVES_REQUESTS, ids=["promote", "switch", "canary", "shadow"])
@pytest.mark.parametrize(("first", "second"), [(None, WIDE), (OLD, None), (OLD, OLD)])
def test_what_says_nothing_or_the_same_goes_as_before(
    command: Making, first: ModelSignature | None, second: ModelSignature | None
) -> None:
    assert isinstance(given(*two(first, second)).when(command()).decision, Accepted)


def test_a_rollback_needs_none() -> None:
    given(*two(), promoted("v2", "v1")).when(roll_back()).then(rolled_back("v1", "v2"))


def test_a_rollout_that_was_let_in_goes_on_by_another_strategy() -> None:
    running = (*two(), rollout_started(CANARY, "v2"), replace(trained("v3"), artifact=facts("v3", WIDE)))
    running = (*running, validated("v3", baseline=("v1", 0.97)))
    other = CanaryStrategy(weight=200)
    assert isinstance(given(*running).when(change_strategy(other)).decision, Accepted)
    given(*running).when(change_strategy(other, "v3")).then_refused("illegal-step", "'v3'", "input 'x'")
    assert isinstance(
        given(*running).when(change_strategy(other, "v3", allow_signature_change=True)).decision, Accepted
    )


def test_a_signature_without_limits_is_refused() -> None:
    many = ModelSignature(inputs=tuple(of(f"x{number}") for number in range(65)), outputs=(Y,))
    long = ModelSignature(inputs=(of("x" * 129),), outputs=(Y,))
    for wrong in (many, long, ModelSignature(inputs=(), outputs=(Y,))):
        given().when(register("v1", artifact=facts("v1", wrong))).then_refused("invalid-value", "signature")
