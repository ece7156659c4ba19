"""librdkafka's own broker for tests of what needs a broker and no Kafka: in this process, there at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Producer, TopicPartition


@contextmanager
def mock_broker(*topics: str, answers_after_ms: int = 0) -> Iterator[str]:
    """Run one with these topics, of four partitions each, and yield its address."""
    host = Producer({"test.mock.num.brokers": 1, "test.mock.broker.rtt": answers_after_ms, "log_level": 0})
    try:
        for topic in topics:
            host.list_topics(topic, timeout=60)
        [broker] = host.list_topics(timeout=60).brokers.values()
        yield f"{broker.host}:{broker.port}"
    finally:
        host.purge()
        host.flush(0)


def values_of(address: str, topic: str, partition: int, count: int) -> list[bytes | None]:
    """The values of the first records of a partition."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "reader", "log_level": 0})
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        return [message.value() for message in consumer.consume(count, timeout=60)]
    finally:
        consumer.close()
