"""Gates on top of accuracy: what holds a version back, and which policies make no sense."""

import pytest

from hotswap_events.registry.events import ModelValidated
from hotswap_events.validation.policy import FigureGate, ValidationPolicy
from hotswap_stream.domain.versions.validation import DEFAULT_VALIDATION_POLICY, judge
from tests.support.decider_specification import given
from tests.support.samples.registry import VALIDATION_SET, archived, promoted, trained, validate, validated
from tests.support.samples.rollouts import (
    GATED,
    artifact_deleted,
    delete_artifact,
    set_validation_policy,
    validation_policy_set,
)

BASELINE = {"accuracy": 0.9, "macro_f1": 0.9}
GOOD = {"accuracy": 0.9, "macro_f1": 0.9, "latency_ms_p95": 40.0, "agreement": 0.9}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "passed"),
        ({"macro_f1": 0.85}, "passed"),
        ({"macro_f1": 0.84}, "failed"),
        ({"latency_ms_p95": 50.0}, "passed"),
        ({"latency_ms_p95": 50.1}, "inconclusive"),
        ({"agreement": 0.79}, "failed"),
        ({"latency_ms_p95": 50.1, "accuracy": 0.1}, "failed"),
        ({"accuracy": 0.82}, "inconclusive"),
    ],
)
def test_the_worst_verdict_counts(changes: dict[str, float], verdict: str) -> None:
    assert judge(GATED, {**GOOD, **changes}, BASELINE) == verdict


def test_without_an_active_version_margins_and_agreement_hold_nothing_back() -> None:
    assert judge(GATED, {"accuracy": 0.9, "macro_f1": 0.1, "latency_ms_p95": 9.0}, None) == "passed"
    assert judge(GATED, {"accuracy": 0.9, "macro_f1": 0.1, "latency_ms_p95": 51.0}, None) == "inconclusive"


def test_all_bounds_go_into_the_event() -> None:
    assert GATED.thresholds() == {
        **DEFAULT_VALIDATION_POLICY.thresholds(),
        "macro_f1.margin": 0.05,
        "latency_ms_p95.threshold": 50.0,
        "agreement.threshold": 0.8,
    }


ACTIVE = (trained("v1"), validated("v1"), promoted("v1"), trained("v2"))


def test_the_model_s_policy_draws_the_verdict() -> None:
    strict = ValidationPolicy(pass_margin=0.0, fail_margin=0.0)
    given(*ACTIVE, validation_policy_set(strict)).when(validate("v2", 0.96, ("v1", 0.97))).then(
        ModelValidated(
            model_version="v2",
            verdict="failed",
            validation_set=VALIDATION_SET,
            figures={"accuracy": 0.96},
            thresholds=strict.thresholds(),
            baseline_version="v1",
            baseline_figures={"accuracy": 0.97},
        ),
        archived("v2"),
    )


def test_figures_that_a_gate_needs() -> None:
    gated = given(*ACTIVE, validation_policy_set())
    gated.when(validate("v2", 0.97, ("v1", 0.97))).then_refused("invalid-value", "figures need 'macro_f1'")
    figures = {"accuracy": 0.97, "macro_f1": 0.97, "latency_ms_p95": 1.0}
    gated.when(validate("v2", 0.97, ("v1", 0.97), figures=figures)).then_refused(
        "invalid-value", "baseline_figures need 'macro_f1'"
    )
    both = {"accuracy": 0.97, "macro_f1": 0.97}
    gated.when(validate("v2", 0.97, ("v1", 0.97), figures=figures, baseline_figures=both)).then_refused(
        "invalid-value", "figures need 'agreement'"
    )


def test_set_it_once() -> None:
    given(*ACTIVE).when(set_validation_policy(GATED)).then(validation_policy_set())
    given(*ACTIVE, validation_policy_set()).when(set_validation_policy(GATED)).then_nothing("already")
    given().when(set_validation_policy(GATED)).then_refused("unknown-model")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (ValidationPolicy(pass_margin=0.2, fail_margin=0.1), "what passes would fail"),
        (ValidationPolicy(pass_margin=-0.1), "pass_margin"),
        (ValidationPolicy(gates=(FigureGate(figure="f1"),)), "a threshold or a margin"),
        (ValidationPolicy(gates=(FigureGate(figure="f1", threshold=float("inf")),)), "finite"),
        (ValidationPolicy(gates=(FigureGate(figure="agreement", margin=0.1),)), "by itself"),
        (ValidationPolicy(gates=(FigureGate(figure="f1", threshold=0.5),) * 2), "twice"),
        (ValidationPolicy(gates=(FigureGate(figure="", threshold=0.5),)), "figure"),
        (ValidationPolicy(gates=(FigureGate(figure="f1", threshold=0.5),) * 33), "33 gates"),
    ],
)
def test_a_policy_that_makes_no_sense(policy: ValidationPolicy, words: str) -> None:
    given(*ACTIVE).when(set_validation_policy(policy)).then_refused("invalid-value", words)


class TestDeleteArtifact:
    def test_what_was_never_needed_goes(self) -> None:
        given(*ACTIVE).when(delete_artifact("v2")).then(archived("v2"), artifact_deleted("v2"))
        given(*ACTIVE, archived("v2")).when(delete_artifact("v2")).then(artifact_deleted("v2"))
        given(*ACTIVE, archived("v2"), artifact_deleted("v2")).when(delete_artifact("v2")).then_nothing("already")

    def test_what_was_or_may_be_needed_stays(self) -> None:
        given(*ACTIVE).when(delete_artifact("v1")).then_refused("illegal-step", "in production")
        given(*ACTIVE, promoted("v2", "v1")).when(delete_artifact("v1")).then_refused(
            "illegal-step", "was in production"
        )
        given(*ACTIVE).when(delete_artifact("v9")).then_refused("unknown-version")
