"""One key may ask so often, and no other is held up by it."""

from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.application.keys.pace import Pace


def test_a_seconds_worth_is_taken_at_once_and_then_one_at_a_time() -> None:
    pace = Pace(2.0)
    assert [pace.wait_s("ci", 10.0) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert pace.wait_s("ada", 10.0) == 0.0
    assert [pace.wait_s("ci", 10.5) for _ in range(2)] == [0.0, 0.5]


def test_a_slow_pace_lets_one_through() -> None:
    pace = Pace(0.1)
    assert [pace.wait_s("ci", second) for second in (0.0, 5.0, 10.0)] == [0.0, 5.0, 0.0]


@given(
    per_second=st.floats(0.5, 50),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_never_more_than_the_pace_and_a_seconds_worth(per_second: float, gaps: list[float]) -> None:
    pace, now_s, taken = Pace(per_second), 0.0, 0
    for gap in gaps:
        now_s += gap
        taken += pace.wait_s("ci", now_s) == 0
    assert taken <= now_s * per_second + max(1.0, per_second) + 1e-6


@given(asked=st.integers(1, 100))
def test_without_a_limit_nobody_waits(asked: int) -> None:
    pace = Pace(None)
    assert {pace.wait_s("ci", 0.0) for _ in range(asked)} == {0.0}
