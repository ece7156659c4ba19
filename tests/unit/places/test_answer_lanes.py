"""Whether a partition is stuck, and what waits in it: each partition by itself."""

from collections import deque

from hotswap_stream.workers.inference.answers.lanes import (
    BULK,
    OVERDUE_SECONDS,
    PATIENT,
    QUICK,
    SLOW_AGAIN_SECONDS,
    SLOW_SECONDS,
    STUCK_SECONDS,
    TOGETHER_MAX,
    Lane,
    Lanes,
    Waiting,
)
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


def test_where_kafka_is_slow_answers_wait_for_those_before_them() -> None:
    lane, late_s = Lane(deque()), 2 * OVERDUE_SECONDS
    assert not lane.hand(10, 0.0)
    assert not lane.hand(20, OVERDUE_SECONDS / 2), "it may be quick yet"
    assert lane.hand(30, late_s)
    assert (lane.closed_to(19), lane.closed_to(20)) == (False, True), "those that were there before need not wait"
    assert lane.hand(40, late_s)
    assert not lane.take(10, late_s)
    assert lane.closed_to(20)
    assert lane.take(20, late_s)
    assert not lane.closed_to(20)
    assert not lane.hand(50, late_s), "it is quick again"


def test_few_answers_need_not_wait() -> None:
    lane = Lane(deque())
    assert not lane.hand(TOGETHER_MAX - 1, 0.0)
    assert not lane.hand(TOGETHER_MAX, 1.0), "the client has room for them"
    assert lane.hand(TOGETHER_MAX + 1, 1.0)


def test_where_kafka_was_slow_it_is_taken_for_slow_for_a_while() -> None:
    lane, slow_s = Lane(deque()), 2 * SLOW_SECONDS
    lane.hand(10, 0.0)
    lane.take(10, slow_s, slow_s)
    assert lane.hand(20, slow_s), "it goes another way"
    assert (lane.way, lane.closed_to(19)) == (PATIENT, False), "there is nothing to wait for"
    assert lane.hand(30, slow_s)
    assert lane.closed_to(20)
    assert lane.take(20, slow_s, SLOW_SECONDS / 2)
    assert lane.hand(40, slow_s), "that one was quick, and the next may not be"
    quick_s = slow_s + SLOW_AGAIN_SECONDS
    lane.take(40, quick_s, SLOW_SECONDS / 2)
    assert lane.hand(50, quick_s)
    assert lane.way == QUICK


def test_nothing_waits_for_what_is_forgotten() -> None:
    lanes = Lanes()
    lanes.of(1).hand(10, 0.0)
    assert lanes.of(1).hand(20, 1.0)
    lanes.forget([1])
    assert not lanes.of(1).closed_to(10)


def test_the_way_changes_only_while_nothing_is_under_way() -> None:
    lane = Lane(deque())
    assert lane.hand(10, 0.0, BULK)
    assert not lane.hand(20, 0.0, QUICK)
    assert lane.way == BULK, "the others went that way"
    lane.take(20, 0.0)
    assert lane.hand(30, 0.0, QUICK)
    assert lane.way == QUICK


def test_what_kafka_may_have_of_the_forgotten_keeps_others_on_its_way() -> None:
    lanes = Lanes()
    lane = lanes.of(1)
    lane.hand(30, 0.0)
    lanes.forget([1])
    assert not lane.hand(10, 0.0, BULK), "it may still write what it was given"
    lane.take(10, 0.0)
    assert lane.hand(20, 0.0, BULK), "all that came before is there"


def test_a_partition_that_begins_further_back_waits_for_its_own_answers() -> None:
    """As where its topic was made again: what was answered there before says nothing of the new requests."""
    lanes = Lanes()
    lane = lanes.of(1)
    lane.hand(1_000, 0.0)
    lane.take(1_000, 0.0)
    lanes.forget([1])
    epoch = lane.epoch
    lane.hand(10, 1.0)
    assert lane.epoch > epoch, "answers of before do not count"
    assert lanes.unsettled([1]) == {1}
    assert not lane.hand(20, 1.0, BULK)
    assert lane.way == QUICK, "the first ones are under way"
    lane.take(20, 1.0)
    assert lanes.unsettled([1]) == set()
