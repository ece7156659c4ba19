"""Policies on metrics of feedback: what a rule may say, and which models they apply to."""

from typing import Any

import pytest
from msgspec.structs import replace

from hotswap_events.inference.signature import ModelSignature, TensorSignature
from hotswap_events.rollouts.strategy import CanaryStrategy, MetricName, MetricRule, RolloutPolicy
from hotswap_events.validation.sets import ValidationSet, ValidationSetChosen
from hotswap_stream.domain.decide import Accepted
from hotswap_stream.domain.rollouts.limits import wrong_rollout_policy
from tests.support.decider_specification import given
from tests.support.samples.registry import promoted, trained, validated
from tests.support.samples.rollouts import CANARY, change_strategy, rollout_started, start_rollout

DIGEST = f"sha256:{'c' * 64}"


def policy(metric: MetricName, **fields: Any) -> RolloutPolicy:
    return RolloutPolicy(metrics=(MetricRule(metric=metric, **(fields or {"margin": 0.1})),))


@pytest.mark.parametrize(
    ("metric", "fields", "words"),
    [
        ("absolute-error", {"threshold": -0.1}, "an error from 0"),
        ("absolute-error", {"threshold": 5.0, "error_max": 5.0}, "where errors are cut off"),
        ("absolute-error", {"margin": 0.1, "relative_margin": 0.1}, "not both"),
        ("absolute-error", {"margin": 0.1, "at": 3}, "hit-rate, ndcg"),
        ("absolute-error", {"margin": float("inf")}, "finite"),
        ("reward", {"relative_margin": 0.1}, "give margin, in rewards"),
        ("reward", {"margin": 0.1, "error_max": 1.0}, "is no error"),
        ("success-rate", {"relative_margin": 0.1}, "as a share of the answers"),
        ("latency", {"relative_margin": 0.1, "slow_ms": 5.0}, "as a share of the answers"),
        ("agreement", {"relative_margin": 0.1}, "give a threshold, not a margin"),
        ("ndcg", {"relative_margin": 1.0}, "less than 1"),
        ("ndcg", {"threshold": 1.5}, "share from 0 to 1"),
        ("hit-rate", {"threshold": 0.5, "at": 0}, ">= 1"),
        ("hit-rate", {}, "a threshold or a margin"),
    ],
)
def test_a_rule_that_says_nothing_is_refused_with_what_would(
    metric: MetricName, fields: dict[str, Any], words: str
) -> None:
    rule = RolloutPolicy(metrics=(MetricRule(metric=metric, **fields),))
    assert words in (wrong_rollout_policy(rule, CanaryStrategy(weight=0)) or "")


@pytest.mark.parametrize(
    ("metric", "fields"),
    [
        ("absolute-error", {"relative_margin": 2.0, "error_max": 10.0}),
        ("squared-error", {"threshold": 0.0}),
        ("accuracy", {"relative_margin": 0.1}),
        ("ndcg", {"relative_margin": 0.1, "threshold": 0.5, "at": 100}),
    ],
)
def test_rules_that_say_something_are_taken(metric: MetricName, fields: dict[str, Any]) -> None:
    rule = RolloutPolicy(metrics=(MetricRule(metric=metric, **fields),))
    assert wrong_rollout_policy(rule, CanaryStrategy(weight=0)) is None


def model(datatype: str | None, *shape: int, kind: str | None = None) -> tuple[Any, ...]:
    """A model with one version in production and one to try, and this output and validation set."""
    x = TensorSignature(name="x", datatype="FP32", shape=(-1, 4))
    events: list[Any] = []
    for name in ("v1", "v2"):
        version = trained(name)
        if datatype is not None:
            output = TensorSignature(name="y", datatype=datatype, shape=shape)  # type: ignore[arg-type]
            signature = ModelSignature(inputs=(x,), outputs=(output,))
            version = _with_signature(version, signature)
        events += [version, validated(name), *([promoted("v1")] if name == "v1" else [])]
    if kind is not None:
        found = ValidationSet(artifact_digest=DIGEST, size_bytes=1, kind=kind, rows=10)
        events.append(ValidationSetChosen(validation_set=found))
    return tuple(events)


def _with_signature(version: Any, signature: ModelSignature) -> Any:
    return replace(version, artifact=replace(version.artifact, signature=signature))


EVERY: tuple[MetricName, ...] = ("accuracy", "absolute-error", "hit-rate", "reward")


@pytest.mark.parametrize(
    ("events", "applies"),
    [
        (model(None), "accuracy absolute-error hit-rate reward"),
        (model("FP32", -1, 10), "accuracy absolute-error hit-rate reward"),
        (model("FP32", -1, -1), "accuracy absolute-error hit-rate reward"),
        (model("FP32", -1, 1), "absolute-error reward"),
        (model("FP32", -1), "absolute-error reward"),
        (model("FP32", -1, 12, 2), "absolute-error reward"),
        (model("INT64", -1), "absolute-error reward"),
        (model("INT64", -1, 20), "absolute-error hit-rate reward"),
        (model("BYTES", -1, 20), "hit-rate reward"),
        (model("BYTES", -1), "reward"),
        (model(None, kind="classification"), "accuracy reward"),
        (model("FP32", -1, 10, kind="regression"), "absolute-error reward"),
        (model("FP32", -1, 10, kind="forecasting"), "absolute-error reward"),
        (model("FP32", -1, 10, kind="ranking"), "hit-rate reward"),
        (model("FP32", -1, 10, kind="my-own"), "accuracy absolute-error hit-rate reward"),
    ],
)
def test_a_metric_that_a_models_answers_cannot_have_is_refused(events: tuple[Any, ...], applies: str) -> None:
    for metric in EVERY:
        outcome = given(*events).when(start_rollout(CANARY, "v2", policy=policy(metric)))
        if metric in applies.split():
            assert isinstance(outcome.decision, Accepted)
            continue
        outcome.then_refused("invalid-value", f"metric {metric}: ")
        outcome.then_refused("invalid-value", "what feedback can tell here is ")


def test_the_reason_says_what_there_is_and_what_would_apply() -> None:
    numbers = given(*model("FP32", -1, 1)).when(start_rollout(CANARY, "v2", policy=policy("accuracy")))
    numbers.then_refused("invalid-value", "the first output 'y' of v1 is FP32 [-1, 1]")
    numbers.then_refused("invalid-value", "can tell here is reward, absolute-error, squared-error, percentage-error")
    classes = given(*model(None, kind="classification")).when(
        start_rollout(CANARY, "v2", policy=policy("absolute-error"))
    )
    classes.then_refused("invalid-value", "is a model of classification by its validation set")
    classes.then_refused("invalid-value", "can tell here is accuracy, reward")


def test_another_policy_in_the_middle_of_a_rollout_is_held_to_the_same() -> None:
    begun = given(*model("FP32", -1, 1), rollout_started(CANARY, "v2", policy=policy("absolute-error")))
    begun.when(change_strategy(CANARY, policy=policy("ndcg"))).then_refused("invalid-value", "metric ndcg")
    other = begun.when(change_strategy(CANARY, policy=policy("squared-error")))
    assert isinstance(other.decision, Accepted)
