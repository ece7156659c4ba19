"""Standstill: places that do not move while requests wait, and those that only wait for their turn."""

from hotswap_stream.application.inference.standstill import STANDSTILL_SECONDS_MAX, TURN_SECONDS_MAX, Standstill


def test_a_place_that_does_not_move_stands_still_from_the_first_look_on_that_saw_requests_wait() -> None:
    watch = Standstill()
    watch.look({0: 5}, {0: 5}, 0.0)
    watch.look({0: 5}, {0: 7}, 100.0)
    assert watch.standing(130.0) == {0: 30.0}
    watch.look({0: 5}, {0: 9}, 140.0)
    assert watch.standing(165.0) == {0: 65.0}
    watch.look({0: 6}, {0: 9}, 170.0)
    assert watch.standing(180.0) == {0: 10.0}
    watch.look({0: 9}, {0: 9}, 190.0)
    assert watch.standing(500.0) == {}


def test_nothing_stands_still_where_nothing_waits_or_the_end_is_not_known() -> None:
    watch = Standstill()
    watch.look({0: 5, 1: 5}, {0: 5, 1: -1_001}, 0.0)
    watch.look({0: 5, 1: 5}, {0: 5}, 1_000.0)
    assert watch.standing(2_000.0) == {}


def test_a_partition_among_others_that_move_has_more_time_unless_it_is_blocked() -> None:
    """A slow model answers what was fetched first: the other partitions wait for their turn."""
    watch = Standstill()
    for second in range(0, 700, 10):
        watch.look({0: 1, 1: second}, {0: 2, 1: 10_000}, float(second))
        seconds = watch.standing(float(second)).get(0, 0.0)
        assert seconds == max(0.0, second - (TURN_SECONDS_MAX - STANDSTILL_SECONDS_MAX) * (second >= 10))
    watch.look({0: 1, 1: 700}, {0: 2, 1: 10_000}, 700.0, blocked={0})
    assert watch.standing(700.0)[0] == 700.0
    assert 1 not in watch.standing(700.0)


def test_a_partition_that_went_elsewhere_is_not_looked_at() -> None:
    watch = Standstill()
    watch.look({0: 1, 1: 1}, {0: 2, 1: 2}, 0.0)
    watch.look({1: 1}, {1: 2}, 50.0)
    assert watch.standing(60.0) == {1: 60.0}


def test_time_in_which_the_looker_stood_still_does_not_count() -> None:
    watch = Standstill()
    watch.look({0: 1}, {0: 2}, 0.0)
    watch.forgive(1_000.0)
    assert watch.standing(1_010.0) == {0: 10.0}
    watch.forget()
    assert watch.standing(2_000.0) == {}
