"""What counts as growth: a leak does, whatever the noise around it; noise, bursts and steps down do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.flatness import GROWTH_MAX, POINTS_MAX, Measure, Series, judged, slope_of, thinned

MIB = 1024**2
WARM_UP_S = 60.0


def series(values: list[float], measure: Measure = "memory", *, every_s: float = 5.0, from_s: float = 0.0) -> Series:
    return Series("w1", 1, measure, [from_s + every_s * number for number in range(len(values))], values)


@given(
    noise=st.lists(st.floats(-2.0, 2.0), min_size=120, max_size=120),
    bursts=st.sets(st.integers(0, 119), max_size=20),
    leak_mib_per_hour=st.floats(200.0, 2_000.0),
)
def test_a_leak_is_seen_and_noise_is_none(noise: list[float], bursts: set[int], leak_mib_per_hour: float) -> None:
    still = [MIB * (100 + each + (500 if number in bursts else 0)) for number, each in enumerate(noise)]
    leaking = [value + MIB * leak_mib_per_hour * number * 5 / 3_600 for number, value in enumerate(still)]
    found, grown = judged(series(still), WARM_UP_S), judged(series(leaking), WARM_UP_S)
    assert found is not None
    assert found.flat, found
    assert grown is not None
    assert not grown.flat, grown
    assert grown.slope_per_hour - found.slope_per_hour == pytest.approx(MIB * leak_mib_per_hour, rel=0.3)


@pytest.mark.parametrize("measure", ["descriptors", "threads"])
def test_one_descriptor_a_minute_is_a_leak_and_some_that_come_and_go_are_none(measure: Measure) -> None:
    leaking = [40.0 + number // 12 for number in range(240)]
    found = judged(series(leaking, measure), WARM_UP_S)
    assert found is not None
    assert not found.flat
    assert found.growth == pytest.approx(19 - WARM_UP_S / 60, abs=1)
    assert found.growth > GROWTH_MAX[measure]
    breathing = judged(series([40.0 + number % 7 for number in range(240)], measure), WARM_UP_S)
    assert breathing is not None
    assert breathing.flat
    assert breathing.slope_per_hour == 0


def test_what_grows_while_a_process_warms_up_is_not_judged() -> None:
    values = [MIB * min(number, 20) * 10.0 for number in range(120)]
    for from_s in (0.0, 3_000.0):  # of the run, and of a process that was started late
        found = judged(series(values, from_s=from_s), 100.0)
        assert found is not None
        assert (found.flat, found.growth) == (True, 0)
        assert found.seconds == 119 * 5 - 100


def test_too_short_a_life_says_nothing() -> None:
    assert judged(series([1.0] * 25), WARM_UP_S) is None, "13 points"
    assert judged(series([1.0] * 60, every_s=1.5), WARM_UP_S) is None, "28 seconds"
    assert judged(Series("w1", 1, "memory"), WARM_UP_S) is None
    assert judged(series([1.0] * 60), WARM_UP_S) is not None


def test_long_series_are_thinned_to_medians_that_keep_the_slope() -> None:
    at_s = np.arange(20_000, dtype=float)
    values = 3.0 * at_s
    values[::50] = 1e12  # bursts
    thin_at_s, thin = thinned(at_s, values)
    assert len(thin_at_s) == len(thin) == POINTS_MAX
    assert slope_of(thin_at_s, thin) == pytest.approx(3.0, rel=1e-3)
    assert slope_of(np.array([1.0, 1.0]), np.array([1.0, 9.0])) == 0.0
