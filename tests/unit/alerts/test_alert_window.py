"""Observations folded into windows: the same sums however they are cut, repeated or late; figures made of them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotswap_events.alerts.events import AlertMetric, AlertRule
from hotswap_events.inference.observation import LatencyCounts, Observation
from hotswap_stream.application.alerts.figures import Figure, Measured, Reference, window_figure
from hotswap_stream.application.alerts.window import BUCKETS, AlertWindow, AlertWindows
from hotswap_stream.application.observations.error_codes import ERRORS_OF_THE_SERVER
from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.domain.statistics.latency_histogram import bucket_of
from tests.support.examples import examples
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.profiles import sketch_of

NOW_MS = 1_770_000_000_000
SECONDS = 60.0


def rule(metric: AlertMetric = "error-rate", **fields: Any) -> AlertRule:
    return AlertRule(
        name=metric, metric=metric, **{"above": 0.1, "answers_min": 10, "window_seconds": SECONDS, **fields}
    )


RULES = (rule(), rule("latency-ms"), rule("input-drift"), rule("score-drift"), rule("error-rate", window_seconds=5.0))


def figures(windows: AlertWindows, now_ms: int = NOW_MS, reference: Reference | None = None) -> list[Figure]:
    return [window_figure(each, windows, reference, now_ms=now_ms) for each in RULES]


def folded(records: Iterable[tuple[Observation, int]]) -> AlertWindows:
    windows = AlertWindows(RULES)
    for record, at_ms in records:
        windows.fold(record, at_ms)
    return windows


def normal(count: int, *, seed: int, mean: float = 0.0) -> str:
    """A sketch of normal values of spread 1."""
    return sketch_of(list(np.random.default_rng(seed).normal(mean, 1.0, count)))


def measured(figure: Figure) -> Measured:
    assert isinstance(figure, Measured), figure
    return figure


def records_at(*records: tuple[dict[str, Any], float]) -> list[tuple[Observation, int]]:
    """Fields, and seconds before now."""
    traffic = ObservedTraffic()
    return [
        (traffic.record(fields.pop("model_version", "v1"), **fields), NOW_MS - round(1000 * age))
        for fields, age in records
    ]


_ROLES = ["primary", "pinned", "probe", "fallback", "refused", "shadow"]
_CODES = [*ERRORS_OF_THE_SERVER, "wrong-input", "model-disabled", "duplicate-id"]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Observation, int]]:
    """Records of two runs in the order they were sent, at most a little late."""
    traffics = [ObservedTraffic(worker=name) for name in ("w1", "w2")]
    found, at_ms = [], NOW_MS - 90_000
    for _number in range(draw(st.integers(0, 30))):
        at_ms += draw(st.integers(0, 5_000))
        role = draw(st.sampled_from(_ROLES))
        waits = draw(st.dictionaries(st.integers(-20, 60), st.integers(1, 50), max_size=4))
        record = draw(st.sampled_from(traffics)).record(
            draw(st.sampled_from(["v1", "v2"])),
            role=role,
            answers=sum(waits.values()),
            errors=draw(st.dictionaries(st.sampled_from(_CODES), st.integers(1, 20), max_size=3)),
            total=LatencyCounts(buckets=waits, total_ms=1.0),
        )
        found.append((record, at_ms))
    return found


@given(histories(), st.data())
@settings(max_examples=examples(60), deadline=None)
def test_records_that_come_again_and_in_other_portions_change_no_figure(
    history: list[tuple[Observation, int]], data: st.DataObject
) -> None:
    again = []
    for number, pair in enumerate(history):
        again.append(pair)
        first = data.draw(st.integers(max(0, number - 3), number + 1))
        again += history[first : number + 1]  # sent again, in order, as a worker does that is not sure
    assert figures(folded(again)) == figures(folded(history))


@given(histories())
@settings(max_examples=examples(60), deadline=None)
def test_the_figures_are_those_counted_one_by_one(history: list[tuple[Observation, int]]) -> None:
    inside_ms = NOW_MS - SECONDS * 1000
    bucket_ms = AlertWindow(SECONDS).bucket_ms
    counted = [
        record
        for record, at_ms in history
        if (at_ms // bucket_ms + 1) * bucket_ms > inside_ms and record.role != "shadow"
    ]
    failures = sum(count for each in counted for code, count in each.errors.items() if code in ERRORS_OF_THE_SERVER)
    requests = failures + sum(each.answers for each in counted)
    found = figures(folded(history))[0]
    if requests == 0:
        assert found == "nothing"
    elif requests < 10:
        assert found == "too-little"
    else:
        assert (measured(found).value, measured(found).count) == (failures / requests, requests)


def test_mistakes_of_callers_and_a_model_switched_off_are_no_errors_of_the_server() -> None:
    records = records_at(
        ({"answers": 90, "errors": {"model-failure": 4, "wrong-input": 50}}, 10),
        ({"answers": 0, "role": "refused", "errors": {"model-disabled": 70, "deadline-expired": 6}}, 5),
        ({"answers": 500, "role": "shadow", "errors": {"model-failure": 500}}, 1),
    )
    found = measured(figures(folded(records))[0])
    assert (found.value, found.count) == (0.1, 100)
    assert found.figures["errors.model-failure"] == 4
    assert found.figures["errors.deadline-expired"] == 6
    assert "errors.model-disabled" not in found.figures


def test_a_model_that_only_refuses_by_will_has_nothing_to_measure() -> None:
    records = records_at(({"role": "refused", "errors": {"model-disabled": 100, "wrong-input": 100}}, 1))
    assert figures(folded(records)) == ["nothing"] * len(RULES)


def test_versions_are_told_apart() -> None:
    records = records_at(
        ({"answers": 90}, 3), ({"model_version": "v2", "answers": 5, "errors": {"model-failure": 5}}, 3)
    )
    found = measured(figures(folded(records))[0]).figures
    assert (found["share.v1"], found["share.v2"]) == (0.9, 0.1)
    assert (found["error-rate.v1"], found["error-rate.v2"]) == (0.0, 0.5)


def test_a_quantile_of_what_callers_wait() -> None:
    fast, slow = bucket_of(5.0), bucket_of(400.0)
    records = records_at(
        ({"answers": 94, "total": LatencyCounts(buckets={fast: 94})}, 2),
        ({"answers": 6, "role": "fallback", "total": LatencyCounts(buckets={slow: 6})}, 1),
        ({"answers": 900, "role": "shadow"}, 1),
    )
    windows = folded(records)
    latency = window_figure(rule("latency-ms", quantile=0.95), windows, None, now_ms=NOW_MS)
    assert 400 <= measured(latency).value <= 400 * 1.1
    assert measured(latency).count == 100
    median = window_figure(rule("latency-ms", quantile=0.5), windows, None, now_ms=NOW_MS)
    assert 5 <= measured(median).value <= 5 * 1.1


def test_what_left_the_window_counts_no_more_and_nothing_grows() -> None:
    window, traffic = AlertWindows(RULES), ObservedTraffic()
    for second in range(1_000):
        window.fold(traffic.record("v1", answers=10), NOW_MS + 1000 * second)
    end_ms = NOW_MS + 999_000
    count = measured(figures(window, end_ms)[0]).count
    assert 600 <= count <= 10 * SECONDS * (1 + 2 / BUCKETS)
    assert figures(window, end_ms + 200_000) == ["nothing"] * len(RULES)
    assert window.quiet(end_ms + 200_000)
    assert not window.quiet(end_ms)
    for each in RULES:
        assert len(window.of(each)._buckets) <= BUCKETS + 2


def test_a_record_that_is_too_old_does_not_count() -> None:
    window, traffic = AlertWindows(RULES), ObservedTraffic()
    window.fold(traffic.record("v1", answers=10), NOW_MS)
    window.fold(traffic.record("v1", answers=90), NOW_MS - 600_000)
    assert measured(figures(window)[0]).count == 10


@pytest.mark.parametrize(("shift", "drifted"), [(0.0, False), (1.0, True)])
def test_drift_is_what_chance_does_not_explain(shift: float, drifted: bool) -> None:
    reference = Reference("v1", {name: Sketch(normal(5_000, seed=1)) for name in ("input", "input.2", "score")})
    windows, traffic = AlertWindows(RULES), ObservedTraffic()
    for number in range(20):
        sketches = {
            "input": normal(50, seed=100 + number),
            "input.2": normal(50, seed=200 + number, mean=shift),
            "input.9": normal(50, seed=200 + number, mean=50.0),
            "score": normal(50, seed=300 + number),
        }
        for version in ("v1", "v2"):
            record = traffic.record(version, answers=50, sketches=sketches)
            windows.fold(record, NOW_MS - 1000 * number, lambda: ("input", "input.2", "score"))
    found = measured(window_figure(rule("input-drift"), windows, reference, now_ms=NOW_MS))
    assert set(found.figures) == {
        f"{kind}.{name}" for kind in ("distance", "beyond-chance") for name in ("input", "input.2")
    }
    assert found.count == 1_000
    assert found.value == found.figures["beyond-chance.input.2"] if drifted else found.value == 0
    assert (found.value > 0.2) is drifted
    assert measured(window_figure(rule("score-drift"), windows, reference, now_ms=NOW_MS)).value == 0
    assert window_figure(rule("input-drift"), windows, None, now_ms=NOW_MS) == "nothing"
    few = window_figure(rule("input-drift", answers_min=2_000), windows, reference, now_ms=NOW_MS)
    assert few == "too-little"


def test_few_values_show_no_drift_by_chance() -> None:
    reference = Reference("v1", {"input": Sketch(normal(2_000, seed=1))})
    above_zero = 0
    for seed in range(200):
        windows = AlertWindows(RULES)
        record = ObservedTraffic().record("v1", answers=30, sketches={"input": normal(30, seed=1_000 + seed)})
        windows.fold(record, NOW_MS, lambda: ("input",))
        above_zero += measured(window_figure(rule("input-drift"), windows, reference, now_ms=NOW_MS)).value > 0
    assert above_zero <= 2, "DRIFT_ALPHA is 1 %, and the bounds are wider than that"


def test_a_sketch_that_cannot_be_read_costs_only_itself() -> None:
    windows = AlertWindows(RULES)
    record = ObservedTraffic().record("v1", answers=30, sketches={"input": "bm90IG9uZQ=="})
    with pytest.raises(ValueError, match="not a KLL sketch"):
        windows.fold(record, NOW_MS, lambda: ("input",))
    assert measured(figures(windows)[0]).count == 30
