"""Feedback as anybody may send it and answers as anybody may write them: joined and folded, whatever they hold."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotswap_events.inference.messages import InferTensor
from hotswap_events.inference.observation import VALUES_MAX, Feedback, Item
from hotswap_events.rollouts.strategy import MetricRule, RolloutPolicy
from hotswap_stream.adapters.kafka.observations.first_output import first_values, label_in, numbers_in, ranking_in
from hotswap_stream.application.observations.turned_out import (
    RANKED_MAX,
    ItemPlaces,
    NumberErrors,
    errors_of,
    places_of,
)
from hotswap_stream.application.rollouts.analysis.folding import fold_judged
from hotswap_stream.application.rollouts.analysis.judged import JUDGED_MEANS, JudgedAnswer, judged_value, moments_of
from hotswap_stream.application.rollouts.analysis.phases import in_step_with
from hotswap_stream.application.rollouts.analysis.table import ModelTable
from hotswap_stream.application.rollouts.analysis.verdicts import verdicts_of
from hotswap_stream.domain.statistics.means import MeanComparison
from hotswap_stream.domain.statistics.samples import Moments
from tests.support.decider_specification import state_after
from tests.support.examples import examples
from tests.support.samples.observations import BEGIN
from tests.support.samples.registry import promoted, trained, validated
from tests.support.samples.rollouts import CANARY, rollout_started

VASTLY = st.floats(-1e30, 1e30)
ODD = st.sampled_from([0.0, -0.0, 5e-324, 1e-162, 1.5e-154, 1e30, -1e30, math.nan, math.inf, 1e308])
NUMBERS = VASTLY | ODD | st.floats()
DATATYPES = st.sampled_from(["BOOL", "UINT8", "INT64", "FP16", "FP32", "FP64", "BYTES"])
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
DATA = st.binary(max_size=64) | st.lists(LEAVES | st.lists(LEAVES, max_size=4), max_size=12)
TENSORS = st.builds(
    InferTensor,
    name=st.just("y"),
    shape=st.lists(st.integers(0, 12), max_size=4),
    datatype=DATATYPES,
    data=DATA,
)
ITEMS = st.lists(st.integers(-3, 12) | st.sampled_from(["a", "b", "1"]), min_size=1, max_size=8).map(tuple)
VALUES = st.floats(-1e30, 1e30) | st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=12).map(tuple)


@settings(max_examples=examples(400))
@given(TENSORS, VALUES, ITEMS)
def test_whatever_an_answer_holds_its_figures_are_numbers(
    tensor: InferTensor, value: float | tuple[float, ...], items: tuple[Item, ...]
) -> None:
    values = first_values(tensor)
    label, numbers, ranking = label_in(tensor, values), numbers_in(tensor, values), ranking_in(tensor, values)
    assert label is None or 0 <= label < tensor.shape[1]
    assert len(numbers) <= VALUES_MAX
    errors = errors_of(numbers, value)
    if errors is not None:
        for error in (errors.absolute, errors.squared, errors.percentage or 0.0):
            assert 0 <= error < math.inf
    chosen = None if ranking is None else places_of(ranking, items)
    if ranking is not None:
        assert all(0 <= place < RANKED_MAX for place in ranking.places.values())
    if chosen is not None:
        assert 0 <= chosen.ndcg(10) <= 1
        assert 0 <= chosen.reciprocal_rank <= 1
        assert chosen.hit(100) == bool(chosen.places)


FIELDS = st.dictionaries(
    st.sampled_from(["value", "items", "label", "reward", "request_offset", "request_partition", "request_id"]),
    LEAVES | st.lists(LEAVES, max_size=4),
)


@settings(max_examples=examples(400))
@given(FIELDS)
def test_a_record_is_feedback_with_finite_numbers_or_refused_as_no_feedback(fields: dict[str, Any]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    body = {"model_name": "m", "feedback_id": "f", "at": at, "request_partition": 0, "request_offset": 1, **fields}
    try:
        found = msgspec.json.decode(msgspec.json.encode(body), type=Feedback)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return
    values = found.value if isinstance(found.value, tuple) else (found.value,)
    assert all(value is None or math.isfinite(value) for value in values)
    assert (found.label, found.reward, found.value, found.items) != (None, None, None, ())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Feedback) == found


ERRORS = st.builds(errors_of, st.tuples(NUMBERS), VASTLY | st.sampled_from([0.0, 5e-324, 1e-200]))
PLACES = st.builds(
    lambda places, more: ItemPlaces(tuple(sorted(places)), len(places) + more),
    st.sets(st.integers(0, RANKED_MAX - 1), max_size=4),
    st.integers(1, 5),
)
RULES = (
    MetricRule(metric="absolute-error", relative_margin=0.1),
    MetricRule(metric="squared-error", margin=1.0, threshold=5.0, error_max=100.0),
    MetricRule(metric="percentage-error", margin=0.1),
    MetricRule(metric="hit-rate", relative_margin=0.2, at=3),
    MetricRule(metric="ndcg", margin=0.1, threshold=0.2),
    MetricRule(metric="reciprocal-rank", relative_margin=0.1),
    MetricRule(metric="reward", margin=1.0),
)
STATE = state_after(
    *(trained("v1"), validated("v1"), promoted("v1"), trained("v2"), validated("v2")),
    rollout_started(CANARY, "v2", policy=RolloutPolicy(metrics=RULES, answers_min=0)),
)


def judged(version: str, errors: NumberErrors | None, chosen: ItemPlaces | None, reward: float | None) -> JudgedAnswer:
    at = BEGIN + timedelta(days=400)
    return JudgedAnswer(model_version=version, answered_at=at, errors=errors, chosen=chosen, reward=reward)


JUDGED = st.builds(
    judged, st.sampled_from(["v1", "v2"]), ERRORS, st.none() | PLACES, st.none() | VASTLY | st.just(1.5e-162)
)


def folded(answers: list[JudgedAnswer]) -> ModelTable:
    table = in_step_with(ModelTable(), STATE.rollout)
    for answer in answers:
        table = fold_judged(table, STATE.rollout, answer)
    return table


@settings(max_examples=examples(100))
@given(st.lists(JUDGED, max_size=60), st.randoms(use_true_random=False))
def test_sums_are_the_same_in_any_order_and_evidence_can_always_be_told(
    answers: list[JudgedAnswer], random: Any
) -> None:
    other = list(answers)
    random.shuffle(other)
    one, two = folded(answers).rollout, folded(other).rollout
    assert one is not None
    assert two is not None
    assert STATE.rollout is not None
    for name in ("v1", "v2"):
        ours, theirs = one.figures.get(name), two.figures.get(name)
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert ours.means.keys() == theirs.means.keys() <= set(JUDGED_MEANS)
            for metric, moments in ours.means.items():
                same = theirs.means[metric]
                assert moments.count == same.count
                assert moments.total == pytest.approx(same.total, rel=1e-9)
                assert moments.squares == pytest.approx(same.squares, rel=1e-9)
    for rollout in (one, two):
        for verdict in verdicts_of(STATE.rollout, rollout):
            for entry in verdict.evidence:
                numbers = (entry.value, entry.lower, entry.upper, entry.p_value, *entry.figures.values())
                assert all(number is None or math.isfinite(number) for number in numbers)
    # What is kept between two records can be written and read.
    kept = msgspec.msgpack.encode(ModelTable(rollout=one))
    assert msgspec.msgpack.decode(kept, type=ModelTable) == ModelTable(rollout=one)


@settings(max_examples=examples(100))
@given(st.lists(JUDGED, min_size=1, max_size=30))
def test_what_is_kept_does_not_grow_with_the_feedback(answers: list[JudgedAnswer]) -> None:
    once, often = folded(answers), folded(answers * 20)
    assert len(msgspec.msgpack.encode(often)) <= len(msgspec.msgpack.encode(once)) + 2_000


@given(JUDGED)
def test_errors_are_cut_off_and_shares_are_shares(answer: JudgedAnswer) -> None:
    for rule in RULES:
        value = judged_value(rule, answer)
        if value is None or rule.metric == "reward":
            continue
        assert 0 <= value <= rule.cut_off
        if rule.metric in ("hit-rate", "ndcg", "reciprocal-rank"):
            assert value <= 1


BLOCKS = st.lists(
    st.tuples(
        st.lists(st.floats(-50.0, 0.0), min_size=8, max_size=60),
        st.lists(st.floats(-50.0, 0.0), min_size=8, max_size=60),
    ),
    min_size=1,
    max_size=8,
)


def _sum(values: list[float], scale: float = 1.0) -> Moments:
    total = Moments()
    for value in values:
        total = total + moments_of(scale * value)
    return total


@given(BLOCKS, st.floats(0.5, 2.0))
def test_a_relative_margin_is_a_comparison_with_so_much_of_the_baseline(
    blocks: list[tuple[list[float], list[float]]], scale: float
) -> None:
    """Not worse than 1.05 times the baseline's cost: better than a baseline whose values are all 1.05 times theirs."""
    relative, beside = MeanComparison(margin=0.0, scale=scale), MeanComparison(margin=0.0)
    for baseline, candidate in blocks:
        relative = relative.fold(_sum(baseline), _sum(candidate))
        beside = beside.fold(_sum(baseline, scale), _sum(candidate))
    assert relative.log_e_not_worse == pytest.approx(beside.log_e_better, rel=1e-6, abs=1e-6)
    plain = MeanComparison(margin=0.0)
    for baseline, candidate in blocks:
        plain = plain.fold(_sum(baseline), _sum(candidate))
    assert (relative.log_e_worse, relative.log_e_better) == (plain.log_e_worse, plain.log_e_better)
