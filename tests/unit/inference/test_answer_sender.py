"""Answers go out in order, and what their topic would not take is replaced by an error; on librdkafka's own broker."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from random import Random

import msgspec
import pytest

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.messages import InferError
from hotswap_stream.workers.inference.answers import lanes
from hotswap_stream.workers.inference.answers.dead_letters import DeadLetterSender
from hotswap_stream.workers.inference.answers.sender import BULK_ANSWERS_MIN, AnswerSender
from hotswap_stream.workers.inference.answers.writer import Answer, AnswerWriter
from hotswap_stream.workers.inference.kafka_clients import WAYS_MS, answer_producer
from hotswap_stream.workers.inference.limits import LoopLimits
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.spread_producer import SpreadProducer
from tests.support.kafka.mock_broker import mock_broker, values_of

LIMITS = LoopLimits(response_bytes_max=100_000)
LIMITED = LoopLimits(response_bytes_max=100_000, answers_in_flight_max=50)


class Sending:
    """A sender, and what it has told."""

    def __init__(self, address: str, letters_address: str | None = None, limits: LoopLimits = LIMITS) -> None:
        self.answered: list[tuple[int, int]] = []
        self.replies: list[Answer] = []
        options, stopping = {"bootstrap.servers": address, "log_level": 0}, threading.Event()
        make = partial(answer_producer, options, worker="w", limits=limits, on_error=lambda _error: None)
        ways = [SpreadProducer(partial(make, linger_ms=linger_ms)) for linger_ms in WAYS_MS]
        self.sender = AnswerSender(
            ways,
            AnswerWriter("m", "w", AnswerTags("p").of("m")),
            response_topic="answers",
            letters=DeadLetterSender(
                options | {"bootstrap.servers": letters_address or address},
                worker="w",
                topic="letters",
                stopping=stopping,
            ),
            limits=limits,
            stopping=stopping,
            on_answered=lambda partition, next_offset: self.answered.append((partition, next_offset)),
            send_reply=self.replies.append,
        )


@pytest.fixture
def address() -> Iterator[str]:
    with mock_broker("answers", "letters") as found:
        yield found


@pytest.fixture
def sending(address: str) -> Iterator[Sending]:
    made = Sending(address)
    yield made
    made.sender.close()


@pytest.fixture
def without_letters(address: str) -> Iterator[Sending]:
    """As while the leader of the dead letters is away: somebody listens there, and nobody answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        made = Sending(address, f"127.0.0.1:{listening.getsockname()[1]}", LIMITED)
        yield made
        made.sender.close()


def answer(offset: int, value: bytes, partition: int = 0, cause: str | None = None) -> Answer:
    return Answer(RequestRecord("requests", partition, offset, 0, None, b"{}", []), value, [], cause)


def until(sending: Sending, true: Callable[[], bool]) -> None:
    """Let the sender work until something is so."""
    give_up_s = time.monotonic() + 60
    while not true():
        sending.sender.poll(0.01)
        assert time.monotonic() < give_up_s


def test_answers_stay_in_order_whether_they_go_alone_or_in_bulk(address: str, sending: Sending) -> None:
    sizes, offset = (1, BULK_ANSWERS_MIN, 1, 3, 2 * BULK_ANSWERS_MIN), 0
    for size in sizes:
        sending.sender.send([answer(number, b"%d" % number) for number in range(offset, offset + size)])
        offset += size
    sending.sender.flush()
    assert values_of(address, "answers", 0, offset) == [b"%d" % number for number in range(offset)]
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    assert sending.answered == sorted(sending.answered)
    assert sending.answered[-1] == (0, offset)
    assert set(sending.answered) >= {(0, end) for end in ends}


def test_a_slow_broker_is_given_no_more_of_a_partition_than_it_is_at() -> None:
    """More that is ready keeps librdkafka's thread asking whether it may go: a whole processor."""
    with mock_broker("answers", "letters", answers_after_ms=200) as slow:
        made = Sending(slow)
        sender = made.sender
        sender.send([answer(0, b"0"), answer(0, b"0", 1)])
        until(made, lambda: len(made.answered) == 2)
        sender.send([answer(1, b"1"), answer(1, b"1", 1)])
        assert not sender.waiting
        for number in range(2, 10):
            sender.send([answer(number, b"%d" % number)])
            assert sender.waiting, "these are not given to it"
        until(made, lambda: (0, 10) in made.answered)
        assert (1, 2) in made.answered, "others do not wait"
        assert not sender.waiting
        assert values_of(slow, "answers", 0, 10) == [b"%d" % number for number in range(10)]
        sender.close()


@pytest.mark.parametrize("slow_seconds", [0.0, 0.002])
def test_whatever_waits_for_whatever_all_is_answered_in_order(
    monkeypatch: pytest.MonkeyPatch, address: str, sending: Sending, slow_seconds: float
) -> None:
    """The first of a partition, copies of requests, refused answers, bulk or not, slow or not."""
    monkeypatch.setattr(lanes, "SLOW_SECONDS", slow_seconds)
    monkeypatch.setattr(lanes, "OVERDUE_SECONDS", slow_seconds)
    random, sent = Random(f"lanes/{slow_seconds}"), [0, 0, 0]
    refused = b"x" * LIMITS.response_bytes_max
    for _ in range(200):
        batch = []
        for partition in random.choices(range(3), k=random.choice((1, 2, 7, 40))):
            value = refused if random.random() < 0.02 else b"%d" % sent[partition]
            batch.append(answer(sent[partition], value, partition, random.choice((None, None, None, "why"))))
            sent[partition] += 1
        sending.sender.send(batch)
        if random.random() < 0.1:
            sending.sender.settle(random.choices(range(3)))
    sending.sender.flush()
    for partition, count in enumerate(sent):
        places = [next_offset for number, next_offset in sending.answered if number == partition]
        assert places == sorted(places)
        assert places[-1] == count
        found = values_of(address, "answers", partition, count)
        assert len(found) == count
        for number, written in enumerate(found):
            assert written is not None
            if written.isdigit():
                assert int(written) == number
            else:
                assert msgspec.json.decode(written, type=InferError).parameters.request_offset == number


def test_each_partition_of_a_batch_is_answered_up_to_its_last_request(sending: Sending) -> None:
    sending.sender.send([answer(7, b"a", 1), answer(3, b"b", 2), answer(8, b"c", 1)])
    sending.sender.flush()
    assert sorted(sending.answered) == [(1, 9), (2, 4)]
    assert sending.sender.in_flight == 0


def test_an_answer_that_its_topic_would_not_take_becomes_an_error(address: str, sending: Sending) -> None:
    """The request is among the dead letters before the error is there."""
    sending.sender.send([answer(0, b"x" * LIMITS.response_bytes_max), answer(1, b"fits")])
    sending.sender.flush()
    refused, fits = values_of(address, "answers", 0, 2)
    error = msgspec.json.decode(refused or b"", type=InferError)
    assert (error.error_code, error.parameters.request_offset, fits) == ("too-large", 0, b"fits")
    assert sending.answered == [(0, 2)]


def test_only_its_partition_waits_for_a_dead_letter(without_letters: Sending) -> None:
    """It stopped all partitions, until the leader of the dead letters was there again."""
    sender, answered = without_letters.sender, without_letters.answered
    sender.send([answer(0, b"good"), answer(1, b"bad", cause="why"), answer(2, b"good"), answer(7, b"good", 1)])
    until(without_letters, lambda: (1, 8) in answered)
    sender.send([answer(8, b"good", 1)])
    until(without_letters, lambda: (1, 9) in answered)
    assert {partition for partition, _next_offset in answered} == {1}
    assert sender.settle([1]) == {1}
    assert sender.settle([0, 1]) == {1}, "nobody waits for a partition that is stuck"


def test_a_stuck_partition_leaves_room_for_others(without_letters: Sending) -> None:
    """All answers that may be in flight were those of one partition, and nothing was answered any more."""
    sender, answered = without_letters.sender, without_letters.answered
    sender.send([answer(0, b"bad", cause="why")])
    sender.send([answer(number, b"good") for number in range(1, 2 * LIMITED.answers_in_flight_max)])
    for number in range(2 * LIMITED.answers_in_flight_max):
        sender.send([answer(number, b"good", 1)])
    until(without_letters, lambda: (1, 2 * LIMITED.answers_in_flight_max) in answered)
    assert sender.stuck() == {0}, "no more of it is to be read"
    sender.forget([0])
    assert (sender.in_flight, sender.stuck()) == (0, frozenset())


def test_answers_go_on_in_order_when_the_dead_letter_is_there(address: str, sending: Sending) -> None:
    """Also those of a partition to which nothing was written before."""
    sender = sending.sender
    sender.send([answer(0, b"0", cause="why"), answer(1, b"1"), answer(2, b"2", cause="why")])
    sender.send([answer(3, b"3")])
    sender.send([answer(number, b"%d" % number) for number in range(4, 4 + BULK_ANSWERS_MIN)])
    sender.flush()
    count = 4 + BULK_ANSWERS_MIN
    assert values_of(address, "answers", 0, count) == [b"%d" % number for number in range(count)]
    assert sending.answered[-1] == (0, count)
    assert (sender.in_flight, sender.stuck()) == (0, frozenset())
