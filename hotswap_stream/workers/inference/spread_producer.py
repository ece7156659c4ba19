"""Several producers that look like one: each writes to some of the partitions.

librdkafka sends a request for each partition, and a broker does one request of a connection after the other; with
`acks=all` each waits for the copies. So where a broker leads many partitions, each of them is written to only when all
others had their turn, which takes seconds while a broker is slow. Nor does an error of one partition, after which
librdkafka lets all that is under way end before it goes on, hold up those of another producer.
"""

from collections.abc import Callable, Collection

from confluent_kafka import KafkaError, Message, Producer

from hotswap_stream.kafka.librdkafka import close_producer

PARTITIONS_EACH = 8
"""Neighbours share a producer, and a topic of no more has one, which is all that it needs."""
PRODUCERS_MAX = 4
"""More would be more threads: each has one for each broker."""

Produce = Callable[..., None]


class SpreadProducer:
    """As much of a `Producer` as answers need; not for more than one thread at a time.

    A partition is always written to by the same producer. Each is made when the first of its partitions is.
    """

    def __init__(self, make: Callable[[], Producer]) -> None:
        self._make = make
        self._producers: dict[int, Producer] = {}

    def __len__(self) -> int:
        """Return how many records are under way."""
        return sum(map(len, self._producers.values()))

    def __bool__(self) -> bool:
        """Return that it is one, also while nothing is under way."""
        return True

    def produce_to(self, partition: int) -> Produce:
        """Return what is called as `produce` for this partition: the method of its producer."""
        return self._of(partition).produce

    def reach(self, partitions: Collection[int]) -> Collection[Producer]:
        """Make the producers of these partitions, and return all that there are."""
        for partition in partitions:
            self._of(partition)
        return self._producers.values()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        on_delivery: Callable[[KafkaError | None, Message], None] | None = None,
        *,
        headers: list[tuple[str, str | bytes | None]] | None = None,
    ) -> None:
        """Hand a record over. BufferError, KafkaException."""
        self._of(partition).produce(topic, value, key, partition, on_delivery, headers=headers)

    def poll(self, seconds_max: float) -> None:
        """Take in acknowledgements; wait at most so long for some. KafkaException."""
        share_s = seconds_max / max(1, len(self._producers))
        for producer in self._producers.values():
            producer.poll(share_s)

    def flush(self, seconds_max: float) -> None:
        """Have what gathers go, and wait for it for at most so long, in each producer. KafkaException."""
        for producer in self._producers.values():
            if len(producer):
                producer.flush(seconds_max)

    def close(self) -> None:
        """Forget what is under way, and disconnect."""
        for producer in self._producers.values():
            close_producer(producer)

    def _of(self, partition: int) -> Producer:
        place = partition // PARTITIONS_EACH % PRODUCERS_MAX
        producer = self._producers.get(place)
        if producer is None:
            producer = self._producers[place] = self._make()
        return producer
