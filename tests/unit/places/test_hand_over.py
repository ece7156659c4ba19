"""What workers tell each other with commits, and two lives of one group that give partitions to each other."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from hotswap_stream.workers.inference.loop.answered_places import AnsweredPlaces
from hotswap_stream.workers.inference.loop.life import LoopLife
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.places.hand_over import UNKNOWN, Held, Place, given_up_places, held_of
from hotswap_stream.workers.inference.requests.quarantine import Quarantine
from tests.support.kafka.mock_broker import mock_broker, values_of
from tests.support.stages.model_loop import ANSWERS, MODEL, REQUESTS, TOPICS, Host, ask, loop_parts

SECONDS_MAX = 60.0


@pytest.fixture
def address() -> Iterator[str]:
    with mock_broker(REQUESTS, ANSWERS, TOPICS.dead_letters, TOPICS.fleet, TOPICS.observations) as found:
        yield found


def test_what_a_commit_says_is_read_again() -> None:
    for held in (Held("w1", 7), Held("a worker", 0, given_up=True), Held("a @ worker", 1, True, 41), Held("w @5", 2)):
        assert held_of(held.text()) == held
    assert held_of(Held("w1", 7, leaving=True).text()) == Held("w1", 7, leaving=True)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "hotswap-1",
        "hotswap-1 held",
        "hotswap-1 held 7",
        "hotswap-1 held -7 w1",
        "hotswap-1 held \u0667 w1",
        "hotswap-1 held 77777777777 w1",
        "hotswap-1 dropped 7 w1",
        "hotswap-2 held 7 w1",
        "\x00" * 4_096,
    ],
)
def test_any_other_text_says_nothing(text: str | None) -> None:
    assert held_of(text) is None


@pytest.mark.parametrize(
    ("given_up", "generation", "counts"),
    [(7, 7, True), (7, 8, True), (8, 7, True), (7, 9, False), (7, UNKNOWN, False), (0, 1, True), (0, 0, False)],
)
def test_only_what_was_given_up_just_now_counts(given_up: int, generation: int, counts: bool) -> None:
    """In an older generation somebody may have answered since."""
    assert Held("w1", given_up, given_up=True).is_for(generation) is counts
    assert not Held("w1", given_up).is_for(generation)
    assert Held("w1", given_up, leaving=True).comes_for(generation) is counts
    assert not Held("w1", given_up, given_up=True).comes_for(generation)
    assert not Held("w1", given_up, leaving=True).is_for(generation), "its last answers are not there"


@pytest.fixture
def member(address: str) -> Iterator[Consumer]:
    consumer = Consumer({"bootstrap.servers": address, "group.id": TOPICS.workers_group(MODEL), "log_level": 0})
    yield consumer
    consumer.close()


def said(member: Consumer, partition: int) -> tuple[int, Held | None]:
    [found] = member.committed([TopicPartition(REQUESTS, partition)], timeout=60)
    return found.offset, held_of(found.metadata)


async def test_who_lives_is_waited_for_while_its_last_answers_are_under_way(member: Consumer) -> None:
    def committed(partition: int, offset: int, held: Held) -> None:
        text = TopicPartition(REQUESTS, partition, offset, held.text())
        member.commit(offsets=[text], asynchronous=False)

    def asked_for() -> tuple[dict[int, Place], set[int]]:
        return given_up_places(
            member,
            REQUESTS,
            range(4),
            8,
            may_come=lambda worker: worker != "dead",
            seconds_max=0.0,
            stopped=lambda: False,
        )

    committed(0, 10, Held("w2", 7, given_up=True, chosen_by=4))
    committed(1, 20, Held("w2", 7, leaving=True))
    committed(2, 30, Held("dead", 7, leaving=True))
    committed(3, 40, Held("w2", 5, leaving=True))  # somebody else may have had it since
    assert asked_for() == ({0: Place(10, 4)}, {1})
    committed(1, 25, Held("w2", 8, given_up=True, chosen_by=5))
    assert asked_for() == ({0: Place(10, 4), 1: Place(25, 5)}, set())


async def test_the_word_of_late_partitions_is_said_when_their_answers_are_there(member: Consumer) -> None:
    answered, held = AnsweredPlaces(MODEL, REQUESTS), Held("w1", 7, given_up=True, chosen_by=4)
    answered.begin({0: 10, 1: 20, 2: 30})
    answered.leave_late(member, Held("w1", 7), [1])
    answered.give_up(member, held, [0, 1], [0], asynchronous=False)
    await until(lambda: said(member, 1) == (20, Held("w1", 7, leaving=True)))
    assert (said(member, 0), answered.places) == ((10, held), {2: 30})
    answered.answered(1, 25)
    answered.answered(1, 24)
    assert not answered.give_up_late(member, held, {1})
    await until(lambda: said(member, 1) == (25, held))
    assert (answered.late, answered.places) == ({}, {2: 30})
    answered.on_committed(None, [TopicPartition(REQUESTS, 1, 20, Held("w1", 7, leaving=True).text())])
    assert not answered.give_up_late(member, held, {1}), "that was an earlier word"
    answered.on_committed(None, [TopicPartition(REQUESTS, 1, 25, held.text())])
    assert answered.give_up_late(member, held, {1}) == {1}


async def test_the_word_of_late_partitions_is_said_again_where_it_was_refused(member: Consumer) -> None:
    """The group decides anew just then. Whoever has them would wait for as long as it may."""
    answered, held = AnsweredPlaces(MODEL, REQUESTS), Held("w1", 7, given_up=True)
    again = Held("w1", 8, given_up=True)
    answered.begin({0: 10, 1: 20})
    answered.leave_late(member, Held("w1", 7), [0, 1])
    answered.give_up(member, held, [0, 1], [])
    assert not answered.give_up_late(member, held, {0, 1})
    await until(lambda: [said(member, part) for part in (0, 1)] == [(10, held), (20, held)])
    words = [TopicPartition(REQUESTS, 0, 10, held.text()), TopicPartition(REQUESTS, 1, 20, held.text())]
    answered.on_committed(KafkaError(KafkaError.REBALANCE_IN_PROGRESS), words[:1])
    answered.on_committed(KafkaError(KafkaError._TIMED_OUT), words[1:])  # it may have been taken

    def heard() -> bool:
        assert answered.give_up_late(member, again, {0, 1}) == {1}
        return said(member, 0) == (10, again)

    await until(heard)
    assert said(member, 1) == (20, held)
    answered.on_committed(None, [TopicPartition(REQUESTS, 0, 10, again.text())])
    assert answered.give_up_late(member, again, {0, 1}) == {0, 1}


@asynccontextmanager
async def running(parts: LoopParts, worker: str) -> AsyncIterator[tuple[Host, threading.Event]]:
    """A life of one worker of the group; the event makes it leave."""
    parts = msgspec.structs.replace(
        parts, config=msgspec.structs.replace(parts.config, worker=worker), host=Host(parts.slots)
    )
    stopping, leaving = threading.Event(), threading.Event()
    life = LoopLife(parts, asyncio.get_running_loop(), stopping, Quarantine(MODEL), leaving)
    task = asyncio.create_task(asyncio.to_thread(life.run))
    host = parts.host
    assert isinstance(host, Host)
    try:
        yield host, leaving
    finally:
        stopping.set()
        await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():
            await asyncio.sleep(0.01)


async def asked(address: str, first: int, count: int) -> None:
    for partition in range(4):
        await asyncio.to_thread(ask, address, first, count, partition)


# librdkafka's broker waits nine seconds at each change of a group: begun early, it waits beside all others.
@pytest.mark.timeout(240)
async def test_partitions_go_from_one_to_another_and_back_with_nothing_answered_twice(address: str) -> None:
    async with loop_parts(address) as parts, running(parts, "w1") as (first, _):
        await until(lambda: first.partitions == [(0, 1, 2, 3)])
        await asked(address, 0, 5)
        async with running(parts, "w2") as (second, leaving):
            await until(lambda: second.partitions == [(2, 3)])
            assert first.partitions == [(0, 1, 2, 3), (0, 1)], "what stays is not begun anew"
            await asked(address, 5, 5)
            await until(lambda: sum(first.sizes) + sum(second.sizes) == 40)
            assert sum(second.sizes) >= 10
            leaving.set()
            await until(lambda: first.partitions[-1] == (0, 1, 2, 3))
            # Answered until the other one had them; its own word of that comes a moment later.
            await until(lambda: second.partitions == [(2, 3), ()])
        await asked(address, 10, 5)
        await until(lambda: sum(first.sizes) + sum(second.sizes) == 60)
    for partition in range(4):
        values = await asyncio.to_thread(values_of, address, ANSWERS, partition, 15)
        assert len(values) == 15
