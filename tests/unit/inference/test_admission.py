"""Who is let in, who is told when to come again."""

from contextlib import ExitStack

import msgspec
import pytest

from hotswap_events.inference.fleet import LIVE_SECONDS_MAX, FleetRecord, FleetVersion
from hotswap_stream.application.inference.admission import (
    RETRY_AFTER_SECONDS_MAX,
    WORKER_ABSENT_SECONDS_MAX,
    Admission,
    AdmissionLimits,
    NotAdmittedError,
    retry_after_seconds,
)
from hotswap_stream.application.inference.fleet import model_fleet
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.fleet import HeardFleet


def record(worker: str, *, serving: str | None = "v1", offset: int = 7) -> bytes:
    return msgspec.json.encode(
        FleetRecord(
            worker=worker,
            model_name="m",
            registry_offset=offset,
            versions={"v1": FleetVersion(state="serving", artifact_digest="sha256:0")},
            serving_version=serving,
            serving_registry_offset=offset,
        )
    )


@pytest.fixture
def fleet() -> HeardFleet:
    return HeardFleet()


def test_places_and_shares_run_out_and_come_back() -> None:
    admission = Admission(AdmissionLimits(in_flight_max=3, in_flight_per_caller_max=2), None)
    with ExitStack() as places:
        places.enter_context(admission.place("alice"))
        places.enter_context(admission.place("alice"))
        with pytest.raises(NotAdmittedError, match="2 requests of 'alice'") as share, admission.place("alice"):
            pass
        assert share.value.kind == "share-used-up"
        places.enter_context(admission.place("bob"))
        with pytest.raises(NotAdmittedError, match="3 requests are in flight") as busy, admission.place("carol"):
            pass
        assert busy.value.kind == "busy"
    assert admission.in_flight == 0
    assert admission.refused == {"share-used-up": 1, "busy": 1}
    with admission.place("alice"), admission.place("alice"), admission.place("bob"):
        assert admission.in_flight == 3


def test_a_worker_that_was_never_there_is_missed_after_a_while(fleet: HeardFleet) -> None:
    admission = Admission(AdmissionLimits(), fleet)
    admission.check_worker("m")
    fleet.now_s += WORKER_ABSENT_SECONDS_MAX + 1
    with pytest.raises(NotAdmittedError, match="no worker has served model 'm' for 5 s") as refused:
        admission.check_worker("m")
    assert refused.value.kind == "no-worker"
    fleet.now_s += 20
    with pytest.raises(NotAdmittedError) as later:
        admission.check_worker("m")
    assert later.value.retry_after_s > refused.value.retry_after_s
    fleet.known = False  # nothing follows from what cannot be read
    admission.check_worker("m")


def test_a_worker_that_left_or_fell_silent_is_missed_and_welcome_back(fleet: HeardFleet) -> None:
    admission = Admission(AdmissionLimits(), fleet)
    fleet.fold.apply(b"w1/m", record("w1"), fleet.now_s)
    fleet.now_s += LIVE_SECONDS_MAX + WORKER_ABSENT_SECONDS_MAX - 1
    admission.check_worker("m")
    fleet.now_s += 2
    with pytest.raises(NotAdmittedError):
        admission.check_worker("m")
    fleet.fold.apply(b"w1/m", record("w1"), fleet.now_s)
    admission.check_worker("m")
    fleet.fold.apply(b"w1/m", None, fleet.now_s)
    admission.check_worker("m")  # it may be starting again
    fleet.now_s += WORKER_ABSENT_SECONDS_MAX + 1
    with pytest.raises(NotAdmittedError):
        admission.check_worker("m")


@pytest.mark.parametrize(("seconds", "whole"), [(0.0, 1), (1.01, 2), (1e9, RETRY_AFTER_SECONDS_MAX)])
def test_retry_after_is_in_whole_seconds_and_bounded(seconds: float, whole: int) -> None:
    assert retry_after_seconds(seconds) == whole


def test_the_whole_fleet_serves_a_version_when_all_live_workers_do(fleet: HeardFleet) -> None:
    state = ModelState("m", active_version="v1")

    def whole(active_offset: int) -> tuple[int, int, bool]:
        found = model_fleet("m", state, active_offset, fleet.workers("m"))
        return found.serving_active_workers, found.live_workers, found.whole_fleet_serves_active

    assert whole(7) == (0, 0, False)
    fleet.fold.apply(b"w1/m", record("w1"), fleet.now_s)
    assert whole(7) == (1, 1, True)
    assert whole(9) == (0, 1, False), "an answer chosen by an older event is not the new choice"
    fleet.fold.apply(b"w2/m", record("w2", serving=None), fleet.now_s)
    assert whole(7) == (1, 2, False)
    fleet.fold.apply(b"w2/m", b"{", fleet.now_s)
    assert fleet.fold.unreadable == 1
    fleet.fold.apply(b"w1/m", record("w1"), fleet.now_s + LIVE_SECONDS_MAX)
    fleet.now_s += LIVE_SECONDS_MAX + 1
    assert whole(7) == (1, 1, True), "a silent worker is no part of the fleet"
    assert [worker.live for worker in fleet.workers("m")] == [True, False]
    assert fleet.fold.model_names() == ("m",)
