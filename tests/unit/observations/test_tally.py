"""Counting answers by the hundred: the same figures as counting them one by one."""

import base64
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, get_args

import datasketches
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.inference.messages import ErrorCode, InferRequest, InferTensor
from hotswap_events.inference.observation import LABELS_MAX, Observation
from hotswap_stream.application.alerts.window import totals_of
from hotswap_stream.application.rollouts.analysis.figures import failures_in
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.domain.statistics.latency_histogram import (
    HIGHEST,
    LOWEST,
    bucket_of,
    count_up_to,
    merged,
    quantile_ms,
    upper_ms,
)
from hotswap_stream.workers.inference.batches.batches import Group
from hotswap_stream.workers.inference.batches.computed import ComputedGroup
from hotswap_stream.workers.inference.observing.input_sample import SAMPLES_MAX, InputSample
from hotswap_stream.workers.inference.observing.observer import KEYS_MAX
from hotswap_stream.workers.inference.observing.sender import BATCH_BYTES_MAX
from hotswap_stream.workers.inference.observing.tally import FOLD_ROWS, Tally
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.requests.requests import Request
from hotswap_stream.workers.inference.requests.tensors import Array
from hotswap_stream.workers.inference.shadows.compare import compare, shown
from tests.support.samples.linear_models import LinearModel

_TIME = datetime(2026, 1, 2, tzinfo=UTC)
_BODY = InferRequest(inputs=[InferTensor(name="x", shape=[1], datatype="FP32", data=[0.0])])
_LEASE = Lease("v1", "sha256:1", 0, LinearModel())


def group(
    outputs: Array | None, inputs: Array, rows: list[int], *, waited_ms: float = 2.0, **fields: Any
) -> ComputedGroup:
    started_ms = 1_000_000.0
    requests = [
        Request(RequestRecord("t", 0, number, int(started_ms - waited_ms), None, None, []), _BODY, False, None)
        for number in range(len(rows))
    ]
    return ComputedGroup(
        Group(_LEASE, requests, list(range(len(rows))), rows, {"x": inputs}),
        outputs=None if outputs is None else {"y": outputs},
        started_ms=started_ms,
        compute_ms=1.0,
        executor=None,
        **{"failures": {}, "by_input": frozenset(), **fields},
    )


def observation(tally: Tally) -> Observation:
    found = tally.observation(
        "primary", _TIME, _TIME, worker="w", worker_run="r", sequence=1, model_name="m", model_version="v1"
    )
    assert found is not None
    # What JSON cannot hold would only be found when it is sent.
    return msgspec.json.decode(msgspec.json.encode(found), type=Observation)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_counting_by_the_hundred_is_counting_each(sizes: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    tally = Tally(slow_ms=2.5)
    every = []
    for rows in sizes:
        outputs = random.random((rows, 3)).astype(np.float32)
        every.append(outputs)
        tally.add(group(outputs, outputs, [1] * rows, waited_ms=rows % 4))
    table = np.concatenate(every)
    found = observation(tally)
    assert found.answers == found.rows == len(table)
    assert found.labels == {
        int(label): int(count) for label, count in zip(*np.unique(table.argmax(1), return_counts=True), strict=True)
    }
    assert found.score.count == len(table)
    assert found.score.total == pytest.approx(float(table.max(1).sum(dtype=np.float64)), rel=1e-6)
    assert found.score.squares == pytest.approx(float((table.max(1).astype(np.float64) ** 2).sum()), rel=1e-6)
    assert sum(found.total.buckets.values()) == sum(found.compute.buckets.values()) == len(table)
    assert found.total.slow == sum(rows for rows in sizes if rows % 4 + 1 > 2.5)
    assert found.compute.slow == 0
    sketch = datasketches.kll_floats_sketch.deserialize(base64.b64decode(found.sketches["score"]))
    assert sketch.n == len(table)


def test_failed_requests_are_errors_and_nothing_else() -> None:
    outputs = np.array([[0.9, 0.1], [0.0, 0.0], [0.0, 0.0], [0.1, 0.9]], np.float32)
    tally = Tally(None)
    tally.add(group(outputs, outputs, [1, 2, 1], failures={1: "ValueError: no"}))
    tally.add(group(None, outputs, [1, 1]))
    found = observation(tally)
    assert (found.answers, found.rows, found.errors) == (2, 2, {"model-failure": 3})
    assert found.labels == {0: 1, 1: 1}
    assert found.score.total == pytest.approx(1.8)


def test_failures_by_the_input_are_counted_apart() -> None:
    """Requests that no version can compute counted against a rollout's candidate and raised its alerts."""
    outputs = np.array([[0.9, 0.1], [0.0, 0.0], [0.1, 0.9]], np.float32)
    tally = Tally(None)
    failures = dict.fromkeys((1, 2), "IndexError: out of range")
    tally.add(group(outputs, outputs, [1, 1, 1], failures=failures, by_input=frozenset({1})))
    tally.add(group(None, outputs[:2], [1, 1], failures=dict.fromkeys((0, 1), "no"), by_input=frozenset({0, 1})))
    found = observation(tally)
    assert (found.answers, found.errors) == (1, {"model-failure": 1, "wrong-input": 3})
    assert (failures_in(found), totals_of(found).failures) == (1, 1)


def test_waits_are_told_with_and_without_the_pass_and_passes_by_their_rows() -> None:
    """The waits of two passes are counted together; each is without its own pass."""
    scores = np.ones((3, 2), np.float32)
    tally = Tally(None)
    tally.add(group(scores, scores, [2, 1]))
    tally.add(msgspec.structs.replace(group(scores[:1], scores[:1], [1]), compute_ms=500.0))
    tally.add(group(None, scores, [1]))
    found = observation(tally)
    assert found.pass_rows == {0: 1, 2: 1}
    waited, queued = found.total, found.queue
    assert sum(waited.buckets.values()) == sum(queued.buckets.values()) == 3
    computed_ms = 2 * group(scores, scores, [2, 1]).compute_ms + 500.0
    assert waited.total_ms - queued.total_ms == pytest.approx(computed_ms, abs=0.01)


def test_rows_that_pad_a_pass_are_not_looked_at() -> None:
    inputs = np.zeros((8, 2), np.float32)
    inputs[:2] = 1.0
    tally = Tally(None)
    tally.add(group(np.ones((2, 2), np.float32), inputs, [1, 1]))
    found = observation(tally)
    assert (found.input.count, found.input.total) == (2, 2.0)


@pytest.mark.parametrize("outputs", [np.array([[np.nan, 1.0], [0.2, 0.4]], np.float32), np.array([1, 2], np.int64)])
def test_whatever_a_model_answers_can_be_counted(outputs: Array) -> None:
    tally = Tally(None)
    tally.add(group(outputs, np.full((2, 3), np.inf, np.float32), [1, 1]))
    found = observation(tally)
    assert found.answers == 2
    assert found.input.count == 0
    assert found.score.count == (1 if outputs.ndim == 2 else 2)


def test_only_the_most_frequent_labels_are_named() -> None:
    classes = LABELS_MAX + 10
    tally = Tally(None)
    for label in range(classes):
        scores = np.zeros((label + 1, classes), np.float32)
        scores[:, label] = 1.0
        tally.add(group(scores, scores, [1] * (label + 1)))
    found = observation(tally)
    assert len(found.labels) == LABELS_MAX
    assert min(found.labels) == 10
    assert found.labels_other == sum(range(1, 11))
    assert sum(found.labels.values()) + found.labels_other == found.rows


def test_what_is_put_aside_is_bounded() -> None:
    tally = Tally(None)
    scores = np.ones((1, 2), np.float32)
    for _ in range(20 * FOLD_ROWS):
        tally.add(group(scores, scores, [1]))
        assert len(tally._outputs) <= FOLD_ROWS
        assert len(tally._waits) <= FOLD_ROWS
    found = observation(tally)
    assert found.answers == 20 * FOLD_ROWS
    assert found.input.count <= SAMPLES_MAX


def test_a_sample_is_spread_over_all_the_time() -> None:
    sample = InputSample()
    for number in range(10_000):
        sample.offer(np.full((1, 2), float(number), np.float32))
    sums = sample.sums()
    assert sums.count >= SAMPLES_MAX // 2
    assert sums.total / sums.count == pytest.approx(5_000, rel=0.05)


def test_labels_decide_agreement_and_closeness_where_there_are_none() -> None:
    ours, theirs = np.array([[0.6, 0.4], [0.6, 0.4]], np.float32), np.array([[0.9, 0.1], [0.3, 0.7]], np.float32)
    found = compare({"y": ours}, {"y": theirs})
    assert found.agree.tolist() == [True, False]
    assert found.difference == pytest.approx([0.3, 0.1])
    values = np.array([[1.0], [100.0]], np.float32)
    assert compare({"y": values}, {"y": values * np.float32(1.005)}).agree.tolist() == [True, True]
    assert compare({"y": values}, {"y": values * np.float32(1.1)}).agree.tolist() == [False, False]
    with pytest.raises(ValueError, match="'y' is what the primary answers"):
        compare({"y": ours}, {"z": theirs})


def test_a_comparison_shows_no_outputs_that_are_large_or_no_json() -> None:
    assert shown({"y": np.zeros((1, 2_000), np.float32)}, 0, 1) == ()
    assert shown({"y": np.array([[np.nan]], np.float32)}, 0, 1) == ()
    (tensor,) = shown({"y": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)}, 1, 2)
    assert (tensor.shape, tensor.data) == ([1, 2], [3.0, 4.0])


@given(st.floats(min_value=0.0, max_value=1e7))
def test_a_value_lies_in_its_bucket(ms: float) -> None:
    bucket = bucket_of(ms)
    assert LOWEST <= bucket <= HIGHEST
    assert bucket == HIGHEST or ms <= upper_ms(bucket) * (1 + 1e-12)
    assert bucket == LOWEST or ms > upper_ms(bucket - 1) * (1 - 1e-12)


@given(st.lists(st.floats(min_value=0.01, max_value=1e5), min_size=1, max_size=200), st.floats(0.0, 1.0))
def test_a_quantile_is_at_most_one_bucket_too_high(values: list[float], share: float) -> None:
    one: dict[int, int] = {}
    other: dict[int, int] = {}
    for number, value in enumerate(values):
        half = (one, other)[number % 2]
        half[bucket_of(value)] = half.get(bucket_of(value), 0) + 1
    both = merged(one, other)
    assert sum(both.values()) == len(values)
    exact = sorted(values)[max(0, int(np.ceil(share * len(values))) - 1)]
    found = quantile_ms(both, share)
    assert found is not None
    assert exact * 0.999 <= found <= exact * 1.1
    assert count_up_to(both, found) >= share * len(values) - 1e-6
    assert all(earlier < later for earlier, later in pairwise(both))


def test_a_record_is_small_at_any_traffic() -> None:
    random = np.random.default_rng(1)
    tally = Tally(slow_ms=5.0)
    for _pass in range(40):
        outputs, inputs = random.normal(size=(FOLD_ROWS, 2 * LABELS_MAX)), random.normal(size=(FOLD_ROWS, 784))
        many = group(outputs, inputs, [1] * FOLD_ROWS)
        compute_ms = float(2 ** random.uniform(LOWEST, HIGHEST)) ** (1 / 8)
        tally.add(msgspec.structs.replace(many, compute_ms=compute_ms))
    for code in get_args(ErrorCode):
        tally.add_errors(code, 10**9)
    encoded = msgspec.json.encode(observation(tally))
    assert len(encoded) * 2 * KEYS_MAX < BATCH_BYTES_MAX


@pytest.mark.parametrize("value", [1e200, -1e200, 1.7e308])
def test_scores_of_any_size_make_a_record_that_can_be_read(value: float) -> None:
    tally = Tally(slow_ms=None)
    tally.add(group(np.array([[value]]), np.array([[value]]), [1]))
    assert observation(tally).answers == 1
