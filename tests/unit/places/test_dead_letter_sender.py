"""Copies of requests wait for others where Kafka is slow, and never for good; on librdkafka's own broker."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from hotswap_stream.workers.inference.answers import dead_letters
from hotswap_stream.workers.inference.answers.dead_letters import DeadLetterSender
from hotswap_stream.workers.inference.requests.records import RequestRecord
from tests.support.kafka.mock_broker import mock_broker

COUNT = 30


class Letters:
    """A sender, and the letters that are there."""

    def __init__(self, address: str) -> None:
        self.there: list[int] = []
        self.sender = DeadLetterSender(
            {"bootstrap.servers": address, "log_level": 0}, worker="w", topic="letters", stopping=threading.Event()
        )

    def send(self, number: int) -> None:
        record = RequestRecord("requests", 0, number, 0, b"%d" % number, b"{}", [])
        self.sender.send(record, "why", lambda: self.there.append(number))

    def until(self, true: Callable[[], bool]) -> None:
        give_up_s = time.monotonic() + 60
        while not true():
            self.sender.poll()
            time.sleep(0.005)
            assert time.monotonic() < give_up_s


@pytest.fixture
def slow() -> Iterator[Letters]:
    with mock_broker("letters", answers_after_ms=100) as address:
        made = Letters(address)
        made.send(0)
        made.until(lambda: made.there == [0])
        yield made
        made.sender.close()


def test_where_kafka_is_slow_copies_wait_for_those_before_them(slow: Letters) -> None:
    slow.send(1)
    for number in range(2, COUNT):
        slow.send(number)
    assert len(slow.sender._held) == COUNT - 2
    slow.until(lambda: len(slow.there) == COUNT)
    assert sorted(slow.there) == list(range(COUNT))
    assert slow.sender._held_bytes == 0


def test_the_last_copies_are_flushed(slow: Letters) -> None:
    for number in range(1, COUNT):
        slow.send(number)
    slow.sender.flush()
    assert sorted(slow.there) == list(range(COUNT))


def test_copies_wait_neither_for_what_is_never_taken_nor_in_any_number(
    slow: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader of those that are under way may be away, and not that of others."""
    slow.send(1)
    slow.send(2)
    assert len(slow.sender._held) == 1
    monkeypatch.setattr(dead_letters, "HELD_SECONDS_MAX", 0.0)
    slow.send(3)
    assert not slow.sender._held
    monkeypatch.setattr(dead_letters, "HELD_SECONDS_MAX", 60.0)
    monkeypatch.setattr(dead_letters, "HELD_BYTES_MAX", 10)
    for number in range(4, COUNT):
        slow.send(number)
        assert len(slow.sender._held) <= 6
    slow.until(lambda: len(slow.there) == COUNT)
