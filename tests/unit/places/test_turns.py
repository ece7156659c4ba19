"""Requests that were read ahead are taken in turns: each partition in its order, and none waits for another's end."""

from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.workers.inference.requests.turns import ROUND_REQUESTS, TURN_REQUESTS_MIN, Turns, turn_of

PARTITIONS = st.integers(0, 4)


def filled(partitions: list[int]) -> Turns[tuple[int, int]]:
    """Items of these partitions, numbered in the order in which they came."""
    turns: Turns[tuple[int, int]] = Turns()
    for number, partition in enumerate(partitions):
        turns.put(partition, (partition, number), number)
    return turns


@given(st.lists(PARTITIONS, max_size=60), st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 7))
def test_all_is_taken_once_and_each_partition_in_its_order(partitions: list[int], sizes: list[int], turn: int) -> None:
    turns, taken, step = filled(partitions), list[tuple[int, int]](), 0
    while turns.count:
        batch = turns.take(sizes[step % len(sizes)], turn)
        assert 0 < len(batch) <= sizes[step % len(sizes)]
        taken += batch
        step += 1
    assert sorted(number for _partition, number in taken) == list(range(len(partitions)))
    for partition in set(partitions):
        numbers = [number for other, number in taken if other == partition]
        assert numbers == sorted(numbers)
    assert turns.size_bytes == 0


@given(st.lists(PARTITIONS, min_size=1, max_size=60), st.integers(1, 7))
def test_nobody_waits_for_more_than_one_turn_of_each_other(partitions: list[int], turn: int) -> None:
    turns = filled(partitions)
    taken = [partition for partition, _number in turns.take(len(partitions), turn)]
    for partition in set(partitions):
        assert taken.index(partition) <= turn * (len(set(partitions)) - 1)


def test_what_is_forgotten_is_not_taken() -> None:
    turns = filled([0, 1, 0, 2])
    turns.forget([0, 7])
    assert (turns.count, turns.size_bytes) == (2, 1 + 3)
    assert turns.take(9, 4) == [(1, 1), (2, 3)]
    turns = filled([0, 1])
    turns.forget()
    assert (turns.count, turns.size_bytes, turns.take(9, 4)) == (0, 0, [])


def test_a_turn_is_worth_its_while() -> None:
    assert turn_of(1) == turn_of(0) == ROUND_REQUESTS
    assert turn_of(8) == ROUND_REQUESTS // 8
    assert turn_of(10_000) == TURN_REQUESTS_MIN
