"""The fleet topic, whatever is written into it, and whatever the clocks of the machines say."""

import random

import msgspec
import pytest

from hotswap_events.inference.fleet import HEARTBEAT_SECONDS, LIVE_SECONDS_MAX, FleetRecord, FleetVersion
from hotswap_stream.application.inference import fleet as fleet_view
from hotswap_stream.application.inference.fleet import FleetFold
from hotswap_stream.workers.inference.fleet import Fleet
from tests.support.samples.hostile_values import hostile

DAY_S = 1_790_000_000.0
"""Some time in unix seconds; a monotonic clock begins anywhere."""


def record(worker: str, state: str = "serving") -> bytes:
    version = FleetVersion(state=state, artifact_digest="sha256:0")  # type: ignore[arg-type]
    return msgspec.json.encode(
        FleetRecord(worker=worker, model_name="m", registry_offset=7, versions={"v1": version}, partitions=(0, 1))
    )


def names(fold: FleetFold, now_s: float) -> dict[str, bool]:
    return {worker.worker: worker.live for worker in fold.workers("m", now_s)}


def test_no_bytes_end_the_fold() -> None:
    """A record that was no UTF-8 ended the follower of a worker, whose list of the others then emptied."""
    fold, chance = FleetFold(), random.Random(4)
    texts = [value for _what, value in hostile(record("w9"))]
    texts += [chance.randbytes(chance.randrange(200)) for _number in range(500)]
    for number, value in enumerate(texts):
        for key in (b"w9/m", b"\xff\xfe/m", b"", None, b"x" * 100_000):
            fold.apply(key, value, float(number))
    for key in (None, b"", b"\xff", b"/", b"nobody/m"):
        fold.apply(key, None, 1.0)
    fold.apply(b"w1/m", record("w1"), 10_000.0)
    assert names(fold, 10_000.0)["w1"]
    assert fold.unreadable > 500


def test_a_record_speaks_for_the_worker_in_its_key_only() -> None:
    fold = FleetFold()
    fold.apply(b"w2/m", record("w1"), 1.0)
    fold.apply(b"w1/other", record("w1"), 1.0)
    assert names(fold, 1.0) == {}
    assert fold.unreadable == 2


def test_records_without_end_take_no_room_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_view, "RECORDS_MAX", 2_000)
    monkeypatch.setattr(fleet_view, "ABSENT_MAX", 10)
    fold = FleetFold()
    for number in range(5_000):
        fold.apply(b"%d/m" % number, record(str(number)), float(number))
        fold.apply(b"x/%d" % number, b"\xff", float(number))
        fold.absent_s(f"nobody-{number}", float(number))
    assert len(fold.workers("m", 5_000.0)) <= 2_000
    assert fold.model_names() == ("m",)
    assert names(fold, 5_000.0)["4999"]


@pytest.mark.parametrize("ahead_s", [-3_600.0, -20.0, 0.0, 20.0, 3_600.0])
def test_a_worker_lives_while_it_is_heard_whatever_its_clock_says(ahead_s: float) -> None:
    """A worker whose clock was 20 s behind the API's counted as absent; one whose clock was ahead lived on for ever."""
    fold, now_s = FleetFold(), 50.0
    for _beat in range(10):
        now_s += HEARTBEAT_SECONDS
        fold.apply(b"w1/m", record("w1"), now_s, DAY_S + now_s + ahead_s)
        assert names(fold, now_s) == {"w1": True}
        assert fold.absent_s("m", now_s) == 0.0
    now_s += LIVE_SECONDS_MAX + 1
    assert names(fold, now_s) == {"w1": False}
    assert fold.absent_s("m", now_s) == pytest.approx(1.0)


def test_of_what_was_there_before_the_newest_tells_how_old_the_others_are() -> None:
    fold = FleetFold()
    fold.apply(b"dead/m", record("dead"), DAY_S - 600.0)
    fold.apply(b"alive/m", record("alive"), DAY_S)
    fold.caught_up(7.0)
    assert names(fold, 7.0) == {"dead": False, "alive": True}
    assert names(fold, 7.0 + LIVE_SECONDS_MAX + 1) == {"dead": False, "alive": False}


def fleet_of(worker: str) -> Fleet:
    """As it is before it is started."""
    fleet = Fleet({}, "hotswap.fleet", worker)
    fleet.report(msgspec.json.decode(record(worker), type=FleetRecord))
    return fleet


def test_a_fleet_that_is_not_read_is_unknown_and_not_empty() -> None:
    fleet = fleet_of("w1")
    assert fleet.others("m") is None
    fleet._read(b"w2/m", record("w2"), DAY_S)
    assert fleet.others("m") is None
    fleet._fold.caught_up(0.0)
    fleet._caught_up = True
    assert fleet.others("m") is None  # it has not heard itself yet
    fleet._read(b"w1/m", record("w1"), DAY_S + 1)
    assert fleet.others("m") == []
    fleet._read(b"w2/m", b"\xff\xfe", DAY_S + 2)
    fleet._read(b"w2/m", record("w2", "loading"), DAY_S + 3)
    others = fleet.others("m")
    assert others is not None
    assert [(other.worker, other.versions["v1"].state) for other in others] == [("w2", "loading")]
