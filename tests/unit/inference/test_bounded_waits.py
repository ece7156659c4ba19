"""Waits of a loop's thread end by the stop and by their limit, with real producers that reach no broker."""

import socket
import threading
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaException, Producer

from hotswap_events.inference.answers import AnswerTags
from hotswap_stream.kafka.librdkafka import tail_consumer
from hotswap_stream.workers.inference import waiting
from hotswap_stream.workers.inference.answers.dead_letters import DeadLetterSender
from hotswap_stream.workers.inference.answers.sender import AnswerSender
from hotswap_stream.workers.inference.answers.writer import Answer, AnswerWriter
from hotswap_stream.workers.inference.limits import LoopLimits
from hotswap_stream.workers.inference.places.checkpoint import Tails, resume_positions
from hotswap_stream.workers.inference.places.hand_over import Place
from hotswap_stream.workers.inference.requests.records import RequestRecord
from hotswap_stream.workers.inference.spread_producer import SpreadProducer
from hotswap_stream.workers.inference.waiting import Wait
from hotswap_stream.workers.inference.windows.keeper import WindowKeeper

WHAT = "nothing is taken"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where somebody listens and nobody answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(params=["stopped", "too long"])
def stopping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Either the stop is there, or the limit is near."""
    event = threading.Event()
    if request.param == "stopped":
        event.set()
        monkeypatch.setattr(waiting, "STOP_SECONDS_MAX", 0.2)
    else:
        monkeypatch.setattr(Wait.__init__, "__kwdefaults__", {"seconds_max": 0.2})
    return event


def full_producer(nobody: str) -> Producer:
    producer = Producer(
        {"bootstrap.servers": nobody, "message.timeout.ms": 0, "queue.buffering.max.messages": 1, "log_level": 0}
    )
    producer.produce("t", b"first", partition=0)
    return producer


def answer() -> Answer:
    return Answer(RequestRecord("t", 0, 0, 0, None, b"", []), b"{}", [])


def sender(nobody: str, stopping: threading.Event) -> AnswerSender:
    full = full_producer(nobody)
    producer = SpreadProducer(lambda: full)
    producer.reach([0])
    return AnswerSender(
        [producer, producer, producer],
        AnswerWriter("m", "w", AnswerTags("p").of("m")),
        response_topic="t",
        letters=DeadLetterSender({"bootstrap.servers": nobody}, worker="w", topic="d", stopping=stopping),
        limits=LoopLimits(),
        stopping=stopping,
        on_answered=lambda _partition, _offset: None,
        send_reply=lambda _answer: None,
    )


def test_answers_for_which_there_is_no_room(nobody: str, stopping: threading.Event) -> None:
    """The loop tried again for ever, and heard neither the stop nor its limit."""
    waiting_sender = sender(nobody, stopping)
    with pytest.raises(KafkaException, match="no room for answers"):
        waiting_sender.send([answer()])
    waiting_sender.close()


def test_answers_that_are_not_taken(nobody: str, stopping: threading.Event) -> None:
    waiting_sender = sender(nobody, stopping)
    with pytest.raises(KafkaException, match="answers unsent"):
        waiting_sender.flush()
    waiting_sender.close()


def test_windows_for_which_there_is_no_room(nobody: str, stopping: threading.Event) -> None:
    """As with the answers."""
    producer = full_producer(nobody)
    keeper = WindowKeeper(
        "m",
        request_topic="r",
        topic="t",
        keys_max=1,
        read_entry=lambda _record: pytest.fail("nothing is read"),
        ensure_topic=lambda: None,
        stopping=stopping,
    )
    keeper.begin(SpreadProducer(lambda: producer), set, lambda _error: None)
    with pytest.raises(KafkaException, match="no room for windows"):
        keeper._produce(0, b"k", b"v")
    producer.purge()
    producer.flush(0)


def test_dead_letters_that_are_not_taken(nobody: str, stopping: threading.Event) -> None:
    letters = DeadLetterSender({"bootstrap.servers": nobody, "log_level": 0}, worker="w", topic="d", stopping=stopping)
    letters.send(answer().record, "why")
    with pytest.raises(KafkaException, match="dead letters unsent"):
        letters.flush()
    letters.close()


def test_places_that_cannot_be_read(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for them comes round soon: others may wait, and the stop."""
    monkeypatch.setattr("hotswap_stream.workers.inference.places.checkpoint.ASK_SECONDS_MAX", 0.1)
    monkeypatch.setattr("hotswap_stream.workers.inference.places.checkpoint.QUIET_SECONDS_MAX", 0.1)
    consumer = tail_consumer({"bootstrap.servers": nobody, "log_level": 0}, "w")
    tags = AnswerTags("p").of("m")
    tails = Tails(consumer, request_topic="r", response_topic="a", tags=tags, read_on=lambda _consumer, _message: False)

    def look(given_up: dict[int, Place]) -> dict[int, Place]:
        return resume_positions(consumer, tails, "r", [0, 1], given_up, wanted=lambda: (0, 1), hurried=lambda: False)

    try:
        with pytest.raises(KafkaException):  # what the group committed is not known
            look({})
        assert look({0: Place(7, None), 1: Place(9, None)}) == {}, (
            "nor are the partitions there, whose places somebody told"
        )
    finally:
        consumer.close()


def test_progress_begins_the_limit_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr("hotswap_stream.workers.inference.waiting.time.monotonic", lambda: now_s[0])
    wait = Wait(threading.Event(), WHAT, seconds_max=10.0)
    for _step in range(5):
        now_s[0] += 9.0
        wait.check()
        wait.progress()
    now_s[0] += 11.0
    with pytest.raises(KafkaException, match="nothing is taken for 10 s"):
        wait.check()
