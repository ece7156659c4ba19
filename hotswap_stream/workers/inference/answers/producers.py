"""The ways in which answers go to Kafka: each at once, or gathered for a moment, or for longer."""

import threading
from collections.abc import Collection, Sequence

from hotswap_stream.kafka.librdkafka import partition_count
from hotswap_stream.workers.inference.answers.lanes import PATIENT
from hotswap_stream.workers.inference.spread_producer import Produce, SpreadProducer
from hotswap_stream.workers.inference.waiting import Wait

GO_SECONDS = 0.001
EXPECT_SECONDS_MAX = 10.0
EXPECT_POLL_SECONDS = 0.02


class AnswerProducers:
    """A producer for each way. Not for more than one thread at a time.

    - quick sends each answer at once, which wakes a thread of the client's for it: right for a few;
    - bulk lets answers gather for a moment: for many that is a fraction of the work;
    - patient lets them gather until it is told to `go`, or for long: right where Kafka is slow, since what does not go
      together would be ready while the rest is under way (`lanes`).

    They are given in this order. The lane of a partition says which way its answers take, and changes it only while
    none of them is under way, so they keep their order.
    """

    def __init__(self, ways: Sequence[SpreadProducer], *, response_topic: str, stopping: threading.Event) -> None:
        self._ways = tuple(ways)
        self._response_topic, self._stopping = response_topic, stopping
        self._begun: tuple[set[int], ...] = tuple(set() for _ in self._ways)
        self._clients = self._partitions = 0
        """How many clients the producers are made of; partitions below it are known to all of them."""

    def __len__(self) -> int:
        """Return how many records are under way."""
        return sum(map(len, self._ways))

    def begun(self, way: int) -> set[int]:
        """Return the partitions in which a way has been taken; add those where it has."""
        return self._begun[way]

    def produce_to(self, partition: int, way: int) -> Produce:
        """Return what is called to hand over a record for this partition."""
        return self._ways[way].produce_to(partition)

    def poll(self, seconds_max: float) -> None:
        """Take in acknowledgements; wait at most so long for some. KafkaException."""
        for producer in self._ways:
            producer.poll(seconds_max / len(self._ways) if len(producer) else 0)

    def go(self) -> None:
        """Have what gathers by the patient way go now, as far as its threads hear of it in a moment. KafkaException."""
        self._ways[PATIENT].flush(GO_SECONDS)

    def expect(self, partitions: Collection[int], windows_topic: str | None) -> None:
        """Have the producers know partitions, also new ones, before something is written there. KafkaException.

        What they know of a topic is minutes old, else. `windows_topic`: written to as well, by the quick one.
        """
        clients = [list(producer.reach(partitions)) for producer in self._ways]
        if sum(map(len, clients)) > self._clients:
            self._clients, self._partitions = sum(map(len, clients)), 0
        if max(partitions, default=-1) < self._partitions:
            return
        topics = [(client, self._response_topic) for way in clients for client in way]
        if windows_topic is not None:
            topics += [(client, windows_topic) for client in clients[0]]
        wait = Wait(self._stopping, "new partitions are not known", seconds_max=EXPECT_SECONDS_MAX)
        for client, topic in topics:
            while (count := partition_count(client, topic)) <= max(partitions):
                wait.pause(EXPECT_POLL_SECONDS)
        self._partitions = count

    def close(self) -> None:
        """Forget what was not sent."""
        for producer in self._ways:
            producer.close()
