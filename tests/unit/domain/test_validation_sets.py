"""A validation set of the model's own: chosen, changed, and what its kind means for verdicts."""

import pytest
from msgspec.structs import replace

from hotswap_events.commands import ChooseValidationSet
from hotswap_events.registry.events import ModelValidated
from hotswap_events.validation.policy import FigureGate, ValidationPolicy
from hotswap_stream.domain.versions.validation import judge, judge_by_gates
from tests.support.decider_specification import given, state_after
from tests.support.samples.registry import archived, promoted, trained, validate, validated
from tests.support.samples.rollouts import set_validation_policy, validation_policy_set
from tests.support.samples.validation_sets import NUMBERS, choose, chosen, set_of

REGISTERED = (trained("v1"),)
GOOD = {"rmse": 1.5, "r2": 0.5}


def test_it_is_chosen_and_changed_and_verdicts_keep_theirs() -> None:
    given(*REGISTERED).when(choose()).then(chosen())
    given(*REGISTERED, chosen()).when(choose()).then_nothing("already")
    other = set_of(rows=7)
    given(*REGISTERED, chosen()).when(choose(other)).then(chosen(other))
    given().when(choose()).then_refused("unknown-model")
    state = state_after(*REGISTERED, chosen(), validated("v1"), chosen(other))
    assert state.validation_set == other
    assert state.versions["v1"].validation == validated("v1")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (choose(set_of(artifact_digest="sha256:no")), "64 lower-case hex digits"),
        (choose(set_of(kind="")), "kind"),
        (choose(set_of(kind="../etc")), "kind '../etc' is not valid"),
        (choose(set_of(rows=0)), "rows"),
        (choose(set_of(source="x" * 513)), "source"),
    ],
)
def test_what_no_set_can_be(command: ChooseValidationSet, words: str) -> None:
    given(*REGISTERED).when(command).then_refused("invalid-value", words)


def _measured(figures: dict[str, float], **fields: object) -> ModelValidated:
    event = ModelValidated(
        model_version="v1",
        verdict="passed",
        validation_set=set_of().artifact_digest,
        figures=figures,
        thresholds=NUMBERS.thresholds(by_accuracy=False),
    )
    return replace(event, **fields)


def test_without_gates_a_regression_is_for_a_person() -> None:
    command = validate("v1", figures=GOOD, validation_set=set_of().artifact_digest, promote_first=True)
    decision = given(*REGISTERED, chosen()).when(command)
    event = state_after(*REGISTERED).versions["v1"]
    assert event.validation is None
    found = judge_by_gates(ValidationPolicy(), GOOD, None)
    assert found.verdict == "inconclusive"
    assert "hotswap-stream validation-policy set" in (found.because or "")
    decision.then(_measured(GOOD, verdict="inconclusive", thresholds={}, detail=found.because))


def test_gates_that_only_compare_let_no_first_version_pass() -> None:
    comparing = ValidationPolicy(gates=(FigureGate(figure="rmse", better="lower", relative_margin=0.1),))
    assert judge_by_gates(comparing, GOOD, None).verdict == "inconclusive"
    assert judge_by_gates(comparing, GOOD, GOOD).verdict == "passed"


def test_gates_draw_the_verdict() -> None:
    first = given(*REGISTERED, chosen(), validation_policy_set(NUMBERS))
    first.when(validate("v1", figures=GOOD, validation_set=set_of().artifact_digest)).then(_measured(GOOD))
    worse = {"rmse": 2.5, "r2": 0.5}
    first.when(validate("v1", figures=worse, validation_set=set_of().artifact_digest)).then(
        _measured(worse, verdict="failed", detail="rmse is 2.5; at most 2 is allowed"), archived("v1")
    )


@pytest.mark.parametrize(
    ("figures", "verdict", "words"),
    [
        ({"rmse": 1.65, "r2": 0.45}, "passed", ""),
        ({"rmse": 1.66, "r2": 0.5}, "failed", "rmse is 1.66; at most 1.65 is allowed beside 1.5 of the active version"),
        ({"rmse": 1.5, "r2": 0.44}, "inconclusive", "r2 is 0.44; at least 0.45"),
        ({"rmse": 1.66, "r2": 0.4}, "failed", "r2 is 0.4"),
    ],
)
def test_margins_relative_and_absolute(figures: dict[str, float], verdict: str, words: str) -> None:
    found = judge_by_gates(NUMBERS, figures, GOOD)
    assert found.verdict == verdict
    assert words in (found.because or "")


def test_a_relative_margin_is_a_part_of_the_size_whatever_the_sign() -> None:
    gate = ValidationPolicy(gates=(FigureGate(figure="profit", relative_margin=0.1),))
    assert judge_by_gates(gate, {"profit": -11.0}, {"profit": -10.0}).verdict == "passed"
    assert judge_by_gates(gate, {"profit": -11.1}, {"profit": -10.0}).verdict == "failed"
    with_accuracy = {"accuracy": 0.9, "profit": 8.9}
    assert judge(gate, with_accuracy, {"accuracy": 0.9, "profit": 10.0}) == "failed"


def test_figures_of_the_wrong_kind_are_refused() -> None:
    given(*REGISTERED).when(validate("v1", figures=GOOD)).then_refused(
        "invalid-value", "need 'accuracy'", "choose a validation set"
    )
    given(*REGISTERED, chosen(set_of("classification"))).when(validate("v1", figures=GOOD)).then_refused(
        "invalid-value", "need 'accuracy'"
    )
    given(*REGISTERED, chosen(), validation_policy_set(NUMBERS)).when(validate("v1")).then_refused(
        "invalid-value", "figures need 'rmse'"
    )
    given(*REGISTERED, chosen()).when(validate("v1", figures={})).then_refused("invalid-value", "no figures")
    active = (*REGISTERED, chosen(), validation_policy_set(NUMBERS), validated("v1"), promoted("v1"), trained("v2"))
    given(*active).when(validate("v2", figures=GOOD, baseline_version="v1")).then_refused(
        "invalid-value", "baseline_figures need 'rmse'"
    )


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (FigureGate(figure="rmse", threshold=1.0), "'rmse': lower is better"),
        (FigureGate(figure="ndcg_at_10", better="lower", threshold=0.5), "higher is better"),
        (FigureGate(figure="mae_step_3", threshold=0.5), "lower is better"),
        (FigureGate(figure="difference_mae", better="lower", relative_margin=0.5), "by itself"),
        (FigureGate(figure="f1", relative_margin=-0.5), "relative_margin"),
        (FigureGate(figure="f1", relative_margin=float("inf")), "finite"),
    ],
)
def test_gates_that_make_no_sense(gate: FigureGate, words: str) -> None:
    given(*REGISTERED).when(set_validation_policy(ValidationPolicy(gates=(gate,)))).then_refused("invalid-value", words)
