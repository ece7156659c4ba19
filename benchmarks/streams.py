"""Topics that are filled before, counted while, and read after a measurement, all with librdkafka."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from msgspec import Struct

SECONDS_MAX = 240.0
COUNTED_FROM = 0.1
"""Share of the answers that must be there before the clock starts, so that no start-up counts."""
READ_MAX = 10_000
_ASK_SECONDS_MAX = 30.0
_NO_LEADER_YET = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
)

Headers = list[tuple[str, str | bytes | None]]


class Counted(Struct, frozen=True):
    """Answers that were counted as they came."""

    per_s: float
    last: Message
    """One of the last, to look into."""


class Stream:
    """One topic of a cluster without authentication."""

    def __init__(self, servers: str, topic: str, partitions: int) -> None:
        self.servers, self.topic, self.partitions = servers, topic, partitions

    def fill(self, values: Iterable[bytes], headers: Headers | None = None) -> None:
        """Write one record per value, in turns to all partitions; return when the broker has them."""
        producer = Producer(
            {
                "bootstrap.servers": self.servers,
                "linger.ms": 20,
                "queue.buffering.max.messages": 100_000,
                "queue.buffering.max.kbytes": 512 * 1024,
            }
        )
        for number, value in enumerate(values):
            while True:
                try:
                    producer.produce(self.topic, value, partition=number % self.partitions, headers=headers or [])
                    break
                except BufferError:
                    producer.poll(0.05)
        left = producer.flush(_ASK_SECONDS_MAX)
        assert left == 0, f"{left} records were not taken by the broker"

    def ends(self) -> list[int]:
        """Return the offset after the last record of each partition."""
        consumer = self._consumer()
        try:
            return [_end(consumer, TopicPartition(self.topic, number)) for number in range(self.partitions)]
        finally:
            consumer.close()

    def count(self, starts: Sequence[int], count: int, is_running: Callable[[], bool]) -> Counted:
        """Read `count` records from these offsets on, as fast as they come. Raise RuntimeError if they stay away."""
        consumer = self._consumer(starts)
        # Not nearly all at once, or there would be no time to measure.
        read_max = max(1, min(READ_MAX, count // 50))
        try:
            got, last, began, give_up = 0, None, (0, 0.0), time.monotonic() + SECONDS_MAX
            while got < count:
                if time.monotonic() > give_up or not is_running():
                    raise RuntimeError(f"{self.topic}: {got} of {count} records came")
                messages = consumer.consume(read_max, 0.2)
                if messages:
                    got, last = got + len(messages), messages[-1]
                    if not began[0] and got >= count * COUNTED_FROM:
                        began = got, time.perf_counter()
            seconds = time.perf_counter() - began[1]
            assert last is not None
            return Counted((got - began[0]) / max(seconds, 1e-9), last)
        finally:
            consumer.close()

    def read(self, starts: Sequence[int], ends: Sequence[int]) -> Iterator[Message]:
        """Return all records between these offsets, in order within each partition."""
        consumer = self._consumer(starts)
        try:
            left = sum(ends) - sum(starts)
            give_up = time.monotonic() + SECONDS_MAX
            while left > 0:
                if time.monotonic() > give_up:
                    raise RuntimeError(f"{self.topic}: {left} records did not come")
                for message in consumer.consume(READ_MAX, 0.2):
                    partition, offset = place_of(message)
                    if offset < ends[partition]:
                        left -= 1
                        yield message
        finally:
            consumer.close()

    def _consumer(self, starts: Sequence[int] = ()) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": f"benchmark-{uuid.uuid4().hex}",
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 5,
                "queued.max.messages.kbytes": 256 * 1024,
            }
        )
        if starts:
            consumer.assign([TopicPartition(self.topic, number, start) for number, start in enumerate(starts)])
        return consumer


def _end(consumer: Consumer, partition: TopicPartition) -> int:
    give_up = time.monotonic() + _ASK_SECONDS_MAX
    while True:
        try:
            return consumer.get_watermark_offsets(partition, timeout=_ASK_SECONDS_MAX)[1]
        except KafkaException as error:
            # A topic that was just made has no leader for a moment.
            if time.monotonic() > give_up or error.args[0].code() not in _NO_LEADER_YET:
                raise
            time.sleep(0.1)


def place_of(message: Message) -> tuple[int, int]:
    """Return partition and offset. Raise AssertionError if the message is an error."""
    partition, offset = message.partition(), message.offset()
    assert message.error() is None, message.error()
    assert partition is not None
    assert offset is not None
    return partition, offset


def header_of(message: Message, name: str) -> bytes | None:
    """Return the value of a header; None without one."""
    found = dict(message.headers() or ()).get(name)
    return found.encode() if isinstance(found, str) else found
