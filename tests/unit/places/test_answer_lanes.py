"""Whether a partition is stuck, and what waits in it: each partition by itself."""

from collections import deque

from hotswap_stream.workers.inference.answers.lanes import STUCK_SECONDS, Lane, Lanes, Waiting
from hotswap_stream.workers.inference.answers.writer import Answer
from hotswap_stream.workers.inference.requests.records import RequestRecord

LONG = 2 * STUCK_SECONDS


def waiting(partition: int) -> Waiting:
    return Waiting(Answer(RequestRecord("t", partition, 0, 0, None, b"", []), b"", []), None)


def test_a_partition_is_stuck_when_nothing_of_it_is_taken_for_long() -> None:
    lane = Lane(deque())
    assert not lane.stuck(LONG), "nothing is under way"
    lane.hand(10, 100.0)
    assert not lane.stuck(100.0 + STUCK_SECONDS)
    lane.hand(20, 100.0 + LONG)
    assert lane.stuck(100.0 + LONG), "what is handed over later does not make it younger"
    assert lane.under_way == 20
    lane.take(10, 100.0 + LONG)
    assert not lane.stuck(100.0 + LONG)
    assert lane.stuck(100.0 + 2 * LONG)
    lane.take(20, 100.0 + 2 * LONG)
    assert not lane.stuck(100.0 + 9 * LONG)
    assert lane.under_way == 0


def test_a_late_answer_does_not_take_back_what_is_known() -> None:
    lane = Lane(deque(), handed=30, answered=30)
    lane.take(20, 1.0)
    assert lane.answered == 30


def test_each_partition_by_itself() -> None:
    lanes = Lanes()
    lanes.of(1).hand(5, 0.0)
    lanes.of(2).hand(7, LONG)
    assert lanes.stuck(LONG) == {1: 5}
    assert lanes.unsettled([1, 2, 3]) == {1, 2}
    lanes.put(1, waiting(1))
    lanes.put(2, waiting(2))
    lanes.put(2, waiting(2))
    assert lanes.waiting == 3
    lanes.forget([2])
    assert (lanes.waiting, lanes.unsettled([1, 2])) == (1, {1})
    lanes.forget()
    assert (lanes.waiting, lanes.unsettled([1, 2])) == (0, set())
