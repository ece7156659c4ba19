"""When an agent counts as standing still."""

from hotswap_stream.agents.progress.watch import ProgressWatch


class Stopwatch:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_agent_with_nothing_to_do_is_not_behind() -> None:
    clock = Stopwatch()
    watch = ProgressWatch(clock)
    clock.now += 1_000
    assert watch.seconds_behind() == 0.0
    watch.folded(0)
    watch.handled(0)
    clock.now += 1_000
    assert watch.seconds_behind() == 0.0


def test_records_that_are_not_handled_count_from_the_first_of_them() -> None:
    clock = Stopwatch()
    watch = ProgressWatch(clock)
    watch.folded(0)
    clock.now += 5
    watch.folded(1)
    clock.now += 5
    assert watch.seconds_behind() == 10.0


def test_progress_on_a_backlog_starts_the_count_anew() -> None:
    clock = Stopwatch()
    watch = ProgressWatch(clock)
    watch.folded(10)
    clock.now += 50
    watch.handled(3)
    clock.now += 50
    assert watch.seconds_behind() == 50.0
    watch.handled(10)
    assert watch.seconds_behind() == 0.0
    watch.handled(2)  # read again
    assert watch.seconds_behind() == 0.0
