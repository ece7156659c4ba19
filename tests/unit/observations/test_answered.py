"""What the API counts of the fleet's observations: sums for Prometheus, and the last minute of each model."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from hotswap_events.inference.observation import LatencyCounts
from hotswap_stream.application.inference.fleet import FleetWorker
from hotswap_stream.application.monitoring.answered import SILENT_SECONDS_MIN, Answered
from hotswap_stream.application.monitoring.families import answer_families
from hotswap_stream.application.monitoring.figures import AnswerFigures, read_figures
from hotswap_stream.application.monitoring.health import model_health
from hotswap_stream.application.monitoring.traffic import WINDOW_SECONDS, Traffic
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.statistics.latency_histogram import bucket_of
from hotswap_stream.observability.exposition import exposition

NOW_S = 1_800_000_000.0
Observed = Callable[..., AnswerFigures]


@pytest.fixture
def observed() -> Observed:
    """Figures of a worker's next observation."""
    sequence = 0

    def make(version: str | None = "v1", *, model: str = "digits", ms: float = 3.0, **fields: Any) -> AnswerFigures:
        nonlocal sequence
        sequence += 1
        answers = fields.get("answers", 0)
        waits = LatencyCounts(buckets={bucket_of(ms): answers}, total_ms=ms * answers)
        found: dict[str, Any] = {
            "worker_run": "w",
            "sequence": sequence,
            "role": "primary",
            "total": waits,
            "compute": waits,
        }
        return AnswerFigures(model_name=model, model_version=version, **(found | fields))

    return make


def samples(answered: Answered) -> dict[str, dict[tuple[str, ...], float]]:
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(exposition(answer_families(answered))):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_answers_errors_and_waits_come_out_under_all_their_names(observed: Observed) -> None:
    answered = Answered()
    answered.add(observed(answers=7, errors={"model-failure": 2}, ms=3.0, rows=20, pass_rows={0: 1, 4: 2}), NOW_S)
    answered.add(observed(answers=1, ms=5_000.0), NOW_S)
    answered.add(observed(None, role="refused", errors={"too-large": 4}), NOW_S)
    answered.add(observed("v2", role="shadow", answers=100), NOW_S)
    found = samples(answered)
    assert found["hotswap_answers_total"] == {("digits", "v1", "primary"): 8, ("digits", "v2", "shadow"): 100}
    assert found["hotswap_answer_errors_total"] == {
        ("digits", "v1", "primary", "model-failure"): 2,
        ("digits", "none", "refused", "too-large"): 4,
    }
    buckets = found["hotswap_answer_duration_seconds_bucket"]
    assert buckets["digits", "v1", "0.002"] == 0
    assert buckets["digits", "v1", "0.004"] == 7
    assert (buckets["digits", "v1", "4.096"], buckets["digits", "v1", "+Inf"]) == (7, 8)
    assert found["hotswap_answer_duration_seconds_sum"] == {("digits", "v1"): pytest.approx(5.021)}
    assert found["hotswap_batch_rows_count"]["digits", "v1"] == 3
    assert found["hotswap_batch_rows_sum"]["digits", "v1"] == 20
    assert found["request_predict_seconds_count"] == {("digits",): 8}
    assert found["model_infer_request_success_total"]["digits", "v1"] == 8
    assert found["model_infer_request_failure_total"]["digits", "none"] == 4
    assert found["model_infer_request_success_total"]["digits", "v2"] == 0


def test_beyond_the_limit_all_counts_for_other_and_is_said_once(observed: Observed) -> None:
    answered = Answered(models_max=2, versions_max=2)
    with capture_logs() as logs:
        for number in range(5):
            answered.add(observed(f"v{number}", answers=1), NOW_S)
            answered.add(observed(model=f"model-{number}", answers=1), NOW_S)
    found = samples(answered)
    assert found["hotswap_answers_total"]["digits", "other", "primary"] == 3
    assert found["hotswap_answers_total"]["other", "v1", "primary"] == 4
    assert found["hotswap_metrics_beyond_limit_total"] == {("model_name",): 4, ("model_version",): 3}
    assert [(log["label"], log["series_max"]) for log in logs] == [("model_name", 2), ("model_version", 2)]


def test_a_version_that_was_silent_for_long_makes_room_for_the_newest(observed: Observed) -> None:
    answered = Answered(versions_max=2)
    for number in range(2):
        answered.add(observed(f"v{number}", answers=1), NOW_S + number)
    answered.add(observed("v9", answers=1), NOW_S + SILENT_SECONDS_MIN)
    assert set(samples(answered)["hotswap_answers_total"]) == {
        ("digits", "v1", "primary"),
        ("digits", "v9", "primary"),
    }


def test_an_observation_that_comes_twice_counts_once_and_an_old_one_not_for_the_last_minute(observed: Observed) -> None:
    traffic = Traffic()
    twice = observed(answers=5)
    for found in (twice, twice, observed(answers=1)):
        traffic.add(found, NOW_S)
    assert traffic.recent("digits", NOW_S)["v1"].answers == 6
    traffic.add(observed(answers=3), NOW_S + WINDOW_SECONDS + 30)
    assert samples(traffic.answered)["hotswap_answers_total"]["digits", "v1", "primary"] == 9
    assert traffic.recent("digits", NOW_S + WINDOW_SECONDS + 30)["v1"].answers == 3
    assert traffic.recent("digits", NOW_S + 10 * WINDOW_SECONDS) == {}


def test_a_model_tells_whether_it_hurts_and_why(observed: Observed) -> None:
    traffic = Traffic()
    traffic.add(observed(answers=50, errors={"wrong-input": 10}), NOW_S)
    state = ModelState("digits", active_version="v1")
    worker = FleetWorker(
        worker="w",
        live=True,
        silent_seconds=0.0,
        seen_at=msgspec.convert("2026-01-01T00:00:00Z", type=FleetWorker.__annotations__["seen_at"]),
        registry_offset=1,
        serving_version="v1",
        serving_registry_offset=1,
        versions={},
        partitions=(0,),
        observations_lost=msgspec.convert({}, type=FleetWorker.__annotations__["observations_lost"]),
        waiting=4,
    )
    well = model_health(state, traffic.recent("digits", NOW_S), [worker])
    assert not well.hurts, "mistakes of callers do not hurt a model"
    assert (well.answers.requests, well.answers.mistakes, well.answers.error_rate, well.waiting) == (60, 10, 0.0, 4)
    assert well.answers.requests_per_second == 1.0
    p95_ms = well.answers.p95_ms
    assert p95_ms is not None
    assert 3.0 <= p95_ms <= 3.0 * 1.1

    traffic.add(observed("v2", answers=0, errors={"model-failure": 50}), NOW_S)
    silent = msgspec.structs.replace(worker, worker="gone", live=False, silent_seconds=33.0)
    ill = model_health(state, traffic.recent("digits", NOW_S), [worker, silent])
    assert (ill.hurts, ill.live_workers, ill.silent_workers) == (True, 1, 1)
    assert "50.0% of the requests of the last minute were not answered: model-failure, wrong-input" in ill.reasons
    assert "worker 'gone' fell silent 33 s ago" in ill.reasons
    assert {part.model_version: part.answers.errors for part in ill.versions} == {"v1": 0, "v2": 50}
    assert model_health(state, {}, []).reasons == ("no worker answers its requests",)
    assert not model_health(ModelState("digits"), {}, []).hurts, "nobody is to answer"


@pytest.mark.parametrize("value", [None, b"", b"[" * 5_000, b'{"worker_run": 1}', b"\xff" * 10, b" " * 2_000_000])
def test_bytes_that_are_no_observation_are_none(value: bytes | None) -> None:
    assert read_figures(value) is None
