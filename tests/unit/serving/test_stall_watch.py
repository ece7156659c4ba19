"""A process that stood still is noticed by the gap between two ticks."""

import pytest

from hotswap_stream.workers.inference.health.stall import STALL_SECONDS_MAX, TICK_SECONDS, StallWatch


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    time_s = [1_000.0]
    monkeypatch.setattr("hotswap_stream.workers.inference.health.stall.time.monotonic", lambda: time_s[0])
    return time_s


def test_a_process_that_runs_has_not_stood_still(now: list[float]) -> None:
    watch = StallWatch()
    for _tick in range(1_000):
        now[0] += TICK_SECONDS
        assert watch.stalls == 0


def test_each_gap_counts_once(now: list[float]) -> None:
    watch = StallWatch()
    for stalls in (1, 2, 3):
        now[0] += STALL_SECONDS_MAX + 0.1
        assert watch.stalls == stalls
        assert watch.stalls == stalls


def test_a_gap_that_a_tick_saw_first_is_kept(now: list[float]) -> None:
    """The loop asks after a batch; the process may run again for a while by then."""
    watch = StallWatch()
    now[0] += STALL_SECONDS_MAX + 0.1
    for _tick in range(100):
        watch._look()
        now[0] += TICK_SECONDS
    assert watch.stalls == 1
