"""The requests that one life of a loop has taken from its consumer and not yet given to a model."""

from collections.abc import Callable, Collection, Mapping

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from hotswap_stream.workers.inference.loop.parts import LoopParts
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.requests.stepping_over import UnreadablePartitions
from hotswap_stream.workers.inference.requests.taking import Taking


class Intake:
    """Read the partitions of the assignment, each request once and in order. For the thread of the life."""

    def __init__(
        self,
        parts: LoopParts,
        consumer: Consumer,
        on_error: Callable[[KafkaError], None],
    ) -> None:
        self.entries: list[Request | Unreadable] = []
        """Taken and decoded, not yet given to a model."""
        self.positions: dict[int, int] = {}
        """Partition → the offset its next request must have at least."""
        self._request_topic = parts.request_topic
        self._consumer = consumer
        unreadable = UnreadablePartitions(parts.config.client_options, parts.model_name, parts.request_topic)
        self._taking = Taking(
            parts.request_topic,
            unreadable,
            bytes_max=parts.limits.request_bytes_max,
            key_bytes_max=parts.limits.answer_key_bytes_max,
            on_error=on_error,
        )

    @property
    def blocked(self) -> Collection[int]:
        """Partitions that something unreadable keeps from moving."""
        return self._taking.blocked

    def take_one(self, seconds_max: float) -> None:
        """Take one request, or what the consumer says instead of one. Waits for it for at most `seconds_max`."""
        message = self._consumer.poll(seconds_max)
        if message is not None:
            self._take([message])

    def take_more(self, room: int, seconds_max: float) -> None:
        """Take at most `room` requests. Waits at most `seconds_max` until there are as many."""
        self._take(self._consumer.consume(room, seconds_max))

    def hand_over(self) -> list[Request | Unreadable]:
        """Return everything taken, and hold it no longer."""
        entries, self.entries = self.entries, []
        return entries

    def begin(self, positions: dict[int, int]) -> None:
        """Take the requests of these partitions too, from these offsets on."""
        self.positions.update(positions)
        if positions:
            self._consumer.incremental_assign(self._places(positions))

    def leave(self, partitions: Collection[int]) -> None:
        """Forget what was taken of these partitions, and take no more of them."""
        if not partitions:
            return
        gone = {partition: self.positions.pop(partition) for partition in partitions}
        self._consumer.incremental_unassign(self._places(gone))
        self._taking.clear(partitions)
        self.entries[:] = [entry for entry in self.entries if entry.record.partition not in gone]

    def drop(self) -> None:
        """Forget everything taken, and the partitions with it."""
        self.positions = {}
        self._consumer.unassign()
        self._taking.clear()
        self.entries.clear()

    def _places(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        return [TopicPartition(self._request_topic, partition, offset) for partition, offset in offsets.items()]

    def _take(self, messages: list[Message]) -> None:
        self.entries.extend(self._taking.take(self._consumer, messages, self.positions))
