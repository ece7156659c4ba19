"""Requests that were read ahead are taken in turns: each partition in its order, and none waits for another's end."""

import asyncio
import time

from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from hotswap_stream.workers.inference.kafka_clients import request_consumer
from hotswap_stream.workers.inference.loop.intake import Intake
from hotswap_stream.workers.inference.requests.turns import ROUND_REQUESTS, TURN_REQUESTS_MIN, Turns, turn_of
from tests.support.kafka.mock_broker import mock_broker
from tests.support.stages.model_loop import REQUESTS, ask, loop_parts

PARTITIONS = st.integers(0, 4)
WAITING = 3_000
BATCH = 128


def filled(partitions: list[int]) -> Turns[tuple[int, int]]:
    """Items of these partitions, numbered in the order in which they came."""
    turns: Turns[tuple[int, int]] = Turns()
    for number, partition in enumerate(partitions):
        turns.put(partition, [(partition, number)])
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


@given(st.lists(PARTITIONS, min_size=1, max_size=60), st.integers(1, 7))
def test_nobody_waits_for_more_than_one_turn_of_each_other(partitions: list[int], turn: int) -> None:
    turns = filled(partitions)
    taken = [partition for partition, _number in turns.take(len(partitions), turn)]
    for partition in set(partitions):
        assert taken.index(partition) <= turn * (len(set(partitions)) - 1)


def test_what_is_forgotten_is_not_taken() -> None:
    turns = filled([0, 1, 0, 2])
    turns.forget([0, 7])
    assert turns.count == 2
    assert turns.take(9, 4) == [(1, 1), (2, 3)]
    turns = filled([0, 1])
    turns.forget()
    assert (turns.count, turns.take(9, 4)) == (0, [])


def test_a_turn_is_worth_its_while() -> None:
    assert turn_of(1) == turn_of(0) == ROUND_REQUESTS
    assert turn_of(8) == ROUND_REQUESTS // 8
    assert turn_of(10_000) == TURN_REQUESTS_MIN


async def test_partitions_that_all_have_many_requests_are_taken_in_turns() -> None:
    """All of one came first, because all of it fits into one answer of the broker."""
    errors: list[KafkaError] = []
    with mock_broker(REQUESTS) as address:
        for partition in range(4):
            await asyncio.to_thread(ask, address, 0, WAITING, partition)
        async with loop_parts(address) as parts:
            consumer = request_consumer(
                parts.config.librdkafka_options, group="g", worker="w", limits=parts.limits, on_error=errors.append
            )
            taken = await asyncio.to_thread(_all_taken, Intake(parts, consumer, errors.append))
            consumer.close()
    assert {partition for partition, _offset in taken[:WAITING]} == set(range(4))
    for partition in range(4):
        assert [offset for other, offset in taken if other == partition] == list(range(WAITING))


def _all_taken(intake: Intake) -> list[tuple[int, int]]:
    """Partition and offset of all requests, as a loop takes them."""
    taken: list[tuple[int, int]] = []
    intake.begin(dict.fromkeys(range(4), 0))
    give_up_s = time.monotonic() + 60
    while len(taken) < 4 * WAITING:
        assert time.monotonic() < give_up_s
        intake.take_one(0.1)
        intake.take_more(BATCH - len(intake.entries), 0)
        entries = intake.hand_over()
        assert len(entries) <= BATCH
        taken += [(entry.record.partition, entry.record.offset) for entry in entries]
    assert not intake.ahead
    return taken
