"""One life of a loop, on librdkafka's own broker: what it takes, answers, commits and goes on with."""

import asyncio
import threading
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from hotswap_events import headers as header_names
from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.messages import InferResponse
from hotswap_stream.application.swap.slots import VersionSlots
from hotswap_stream.workers.inference.loop import taking_over
from hotswap_stream.workers.inference.loop.life import LoopLife
from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.requests.quarantine import Quarantine
from tests.support.decider_specification import state_after
from tests.support.kafka.mock_broker import mock_broker, values_of
from tests.support.samples.registry import promoted, trained
from tests.support.samples.serving import half_opened, opened
from tests.support.stages.model_loop import ANSWERS, MODEL, REQUESTS, TOPICS, Host, answered, ask, committed, loop_parts

PARTITIONS = 4
"""Of librdkafka's own broker."""


@pytest.fixture
def address() -> Iterator[str]:
    with mock_broker(REQUESTS, ANSWERS, TOPICS.dead_letters) as found:
        yield found


def commit(address: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": address, "group.id": TOPICS.workers_group(MODEL), "log_level": 0})
    try:
        consumer.commit(offsets=[TopicPartition(REQUESTS, 0, offset)], asynchronous=False)
    finally:
        consumer.close()


@asynccontextmanager
async def living(address: str) -> AsyncIterator[Host]:
    """A life over one loaded version."""
    async with loop_parts(address) as parts, running(parts) as host:
        yield host


@asynccontextmanager
async def running(parts: LoopParts) -> AsyncIterator[Host]:
    """A life that runs in a thread, as `ModelLoop` runs it."""
    stopping = threading.Event()
    life = LoopLife(parts, asyncio.get_running_loop(), stopping, Quarantine(MODEL))
    task = asyncio.create_task(asyncio.to_thread(life.run))
    try:
        assert isinstance(parts.host, Host)
        yield parts.host
    finally:
        stopping.set()
        await task


async def test_every_request_is_answered_once_in_order_and_committed(address: str) -> None:
    await asyncio.to_thread(ask, address, 0, 20)
    async with living(address) as host:
        assert await asyncio.to_thread(answered, address, 20) == [float(number) for number in range(20)]
    assert await asyncio.to_thread(committed, address) == 20
    assert host.partitions == [(0, 1, 2, 3)]
    assert sum(host.sizes) == 20
    assert max(host.sizes) <= Host.batching.size_max
    assert host.begun == len(host.sizes)


async def test_a_life_goes_on_after_what_was_committed(address: str) -> None:
    await asyncio.to_thread(ask, address, 0, 10)
    await asyncio.to_thread(commit, address, 7)
    async with living(address) as host:
        assert await asyncio.to_thread(answered, address, 3) == [7.0, 8.0, 9.0]
    assert sum(host.sizes) == 3
    assert await asyncio.to_thread(committed, address) == 10


async def test_a_life_ends_when_others_may_have_taken_its_worker_for_dead(address: str) -> None:
    """What it had answers from then on is others': the next life joins the group anew, and blames no request."""
    await asyncio.to_thread(ask, address, 0, 5)
    async with loop_parts(address) as parts:
        assert isinstance(parts.host, Host)
        quarantine = Quarantine(MODEL)
        life = LoopLife(parts, asyncio.get_running_loop(), threading.Event(), quarantine)
        task = asyncio.create_task(asyncio.to_thread(life.run))
        assert await asyncio.to_thread(answered, address, 5) == [0.0, 1.0, 2.0, 3.0, 4.0]
        parts.host.taken_for_dead += 1
        async with asyncio.timeout(60):
            with pytest.raises(KafkaException, match="it joins anew"):
                await task
        assert not quarantine.careful(dict.fromkeys(range(PARTITIONS), 0))
        async with running(parts):
            await asyncio.to_thread(ask, address, 5, 2)
            assert await asyncio.to_thread(answered, address, 7) == [float(number) for number in range(7)]


class Behind(Host):
    """Has not read the registry to its end yet."""

    def __init__(self, slots: VersionSlots) -> None:
        super().__init__(slots)
        self.asked, self.there, self.given_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def caught_up(self) -> None:
        self.asked.set()
        try:
            await self.there.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise


async def test_partitions_are_answered_when_the_registry_is_read_as_far_as_it_goes(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was promoted before a worker started answers from its first request on, if a moment does for it."""
    monkeypatch.setattr(taking_over, "CATCH_UP_POLLS_FIRST_MAX", 10_000)
    await asyncio.to_thread(ask, address, 0, 3)
    async with loop_parts(address, Behind) as parts, running(parts) as host:
        assert isinstance(host, Behind)
        await host.asked.wait()
        await asyncio.sleep(5 * taking_over.CATCH_UP_POLL_SECONDS)
        assert host.partitions == []
        host.there.set()
        assert await asyncio.to_thread(answered, address, 3) == [0.0, 1.0, 2.0]
    assert not host.given_up.is_set()


def answer_before(address: str, body: bytes, partitions: Collection[int] = range(PARTITIONS)) -> None:
    """Have the first three requests of partitions, and answers of a worker before: two by this body, an error."""
    tags = AnswerTags("p").of(MODEL)
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    for partition in partitions:
        ask(address, 0, 3, partition)
        for offset, status in enumerate((b"ok", b"ok", b"error")):
            headers: list[tuple[str, str | bytes | None]] = [
                (header_names.REQUEST_OFFSET, b"%d" % offset),
                (header_names.ANSWER_TAG, tags.tag(partition, offset)),
                (header_names.STATUS, status),
            ]
            producer.produce(ANSWERS, body if status == b"ok" else b"{}", partition=partition, headers=headers)
    assert producer.flush(60) == 0


@pytest.mark.parametrize(
    ("body", "waits"),
    [
        (b'{"parameters":{"registry_offset":1}}', False),
        (b'{"parameters":{"registry_offset":2}}', True),
    ],
)
async def test_the_registry_is_waited_for_unless_the_last_answers_are_known_to_be_no_newer(
    address: str, body: bytes, waits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its leader is away nothing would be answered for seconds, though what is loaded is right.

    Where they are known to be newer, a moment is not enough: answers would be of an older event than those before.
    """
    monkeypatch.setattr(taking_over, "CATCH_UP_POLLS_MAX", 1)
    await asyncio.to_thread(answer_before, address, body)
    await asyncio.to_thread(ask, address, 3, 1)
    async with loop_parts(address, Behind) as parts, running(parts) as host:
        assert isinstance(host, Behind)
        if waits:
            await host.asked.wait()
            await asyncio.sleep(5 * taking_over.CATCH_UP_POLL_SECONDS)
            assert host.partitions == []
            host.there.set()
        values = await asyncio.to_thread(values_of, address, ANSWERS, 0, 4)
        assert msgspec.json.decode(values[3] or b"", type=InferResponse).parameters.request_offset == 3
        assert host.asked.is_set() is waits


@pytest.mark.parametrize("before", [False, True], ids=["no-answers-before", "answers-that-name-no-event"])
async def test_a_registry_that_cannot_be_read_to_its_end_is_not_waited_for_for_ever(
    address: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing was answered before, no answer can be of an older event: that is waited for a moment only."""
    monkeypatch.setattr(taking_over, "CATCH_UP_POLLS_MAX" if before else "CATCH_UP_POLLS_FIRST_MAX", 2)
    monkeypatch.setattr(taking_over, "CATCH_UP_POLLS_FIRST_MAX" if before else "CATCH_UP_POLLS_MAX", 10_000)
    if before:
        await asyncio.to_thread(answer_before, address, b"{}")
    first = 3 if before else 0
    await asyncio.to_thread(ask, address, first, 3)
    async with loop_parts(address, Behind) as parts, running(parts) as host:
        assert isinstance(host, Behind)
        values = await asyncio.to_thread(values_of, address, ANSWERS, 0, first + 3)
        answers = [msgspec.json.decode(value or b"", type=InferResponse) for value in values[first:]]
        assert [answer.parameters.request_offset for answer in answers] == [first, first + 1, first + 2]
        await host.given_up.wait()


async def test_partitions_that_need_not_wait_for_the_registry_are_answered_before_those_that_must(address: str) -> None:
    await asyncio.to_thread(answer_before, address, b'{"parameters":{"registry_offset":2}}', [1])
    await asyncio.to_thread(answer_before, address, b'{"parameters":{"registry_offset":1}}', [0, 2, 3])
    for partition in (0, 1):
        await asyncio.to_thread(ask, address, 3, 1, partition)
    async with loop_parts(address, Behind) as parts, running(parts) as host:
        assert isinstance(host, Behind)
        await asyncio.to_thread(values_of, address, ANSWERS, 0, 4)
        await host.asked.wait()
        assert host.partitions == [(0, 2, 3)]
        host.there.set()
        await asyncio.to_thread(values_of, address, ANSWERS, 1, 4)
        assert host.partitions == [(0, 2, 3), (0, 1, 2, 3)]


async def test_probes_that_died_with_a_life_leave_room_for_others(address: str) -> None:
    """They counted as under way for ever, so that no request was a probe and the circuit never closed."""
    half_open = state_after(trained("v1"), promoted("v1", forced=True), opened("v1"), half_opened("v1"))
    async with loop_parts(address) as parts:
        parts.guard.update(half_open)
        assert parts.guard.pick_probes(1_000, "v1")
        assert not parts.guard.pick_probes(1_000, "v1"), "enough are under way"
        async with running(parts):
            pass
        assert parts.guard.pick_probes(1, "v1") == (0,)
