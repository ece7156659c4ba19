"""Answers of many partitions go out by several producers, each partition's by the same one; on librdkafka's broker."""

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer

from hotswap_stream.workers.inference import spread_producer as spread_module
from hotswap_stream.workers.inference.spread_producer import PARTITIONS_EACH, PRODUCERS_MAX, SpreadProducer
from tests.support.kafka.mock_broker import mock_broker, values_of

ALL = 2 * PARTITIONS_EACH * PRODUCERS_MAX


class Noting(Producer):
    """Notes which partitions it was given something for."""

    def __init__(self, address: str) -> None:
        super().__init__({"bootstrap.servers": address, "message.timeout.ms": 0, "log_level": 0})
        self.partitions: list[int] = []

    def produce(  # type: ignore[override]
        self, topic: str, value: Any, key: Any, partition: int, *rest: Any, **more: Any
    ) -> None:
        """Note it, and hand it over."""
        self.partitions.append(partition)
        super().produce(topic, value, key, partition, *rest, **more)


class Spread:
    """A spread producer that writes to nobody, and those it is made of."""

    def __init__(self, address: str = "127.0.0.1:1") -> None:
        self.made: list[Noting] = []
        self.address = address
        self.producer = SpreadProducer(self._make)

    def _make(self) -> Producer:
        self.made.append(Noting(self.address))
        return self.made[-1]

    def ask(self, partition: int) -> int:
        """Write to a partition; return which of the producers does it."""
        self.producer.produce("t", b"value", None, partition)
        [place] = [place for place, made in enumerate(self.made) if partition in made.partitions]
        return place


@pytest.fixture
def spread() -> Iterator[Spread]:
    made = Spread()
    yield made
    made.producer.close()


def test_a_topic_of_few_partitions_has_one_producer_and_calls_it_itself(spread: Spread) -> None:
    assert {spread.ask(partition) for partition in range(PARTITIONS_EACH)} == {0}
    assert len(spread.made) == 1
    assert spread.producer.produce_to(0) == spread.made[0].produce


def test_each_partition_has_the_same_producer_always_and_no_more_are_made_than_are_meant(spread: Spread) -> None:
    first = [spread.ask(partition) for partition in range(ALL)]
    assert set(first) == set(range(PRODUCERS_MAX))
    assert [spread.ask(partition) for partition in reversed(range(ALL))] == first[::-1]
    assert len(spread.made) == PRODUCERS_MAX
    assert len(spread.producer) >= 2 * ALL
    assert [spread.producer.produce_to(partition) for partition in range(ALL)] == [
        spread.made[place].produce for place in first
    ]


def test_a_producer_is_there_also_while_nothing_is_under_way(spread: Spread) -> None:
    assert spread.producer
    assert len(spread.producer) == 0
    spread.producer.poll(0)
    assert list(spread.producer.reach([0, PARTITIONS_EACH])) == spread.made
    assert len(spread.made) == 2


def test_whatever_a_producer_wrote_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread_module, "PARTITIONS_EACH", 1)
    heard: list[int | None] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None
        heard.append(message.partition())

    with mock_broker("t") as address:
        made = Spread(address)
        for partition in range(4):
            made.producer.produce("t", b"%d" % partition, b"key", partition, delivered)
        while len(made.producer):
            made.producer.poll(0.05)
        assert len(made.made) == 4
        assert sorted(heard, key=str) == [0, 1, 2, 3]
        assert values_of(address, "t", 3, 1) == [b"3"]


def test_closed_producers_are_ended_whatever_refers_to_them(spread: Spread) -> None:
    """Their threads and connections stayed until Python had collected what refers to each other, which took minutes."""
    for partition in range(ALL):
        spread.ask(partition)
    spread.producer.close()
    for made in spread.made:
        assert len(made) == 0
        with pytest.raises(RuntimeError, match="closed"):
            made.poll(0)
