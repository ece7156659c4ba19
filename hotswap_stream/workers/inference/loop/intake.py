"""The requests that one life of a loop has taken from its consumer and not yet given to a model."""

from collections.abc import Callable, Collection, Mapping

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from hotswap_stream.kafka.callbacks import CallbackErrors
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
        callbacks: CallbackErrors,
        on_error: Callable[[KafkaError], None],
    ) -> None:
        self.entries: list[Request | Unreadable] = []
        """Taken and decoded, not yet given to a model."""
        self.positions: dict[int, int] = {}
        """Partition → the offset its next request must have at least."""
        self.assignments = 0
        """Grows each time that everything taken is dropped."""
        self._request_topic = parts.request_topic
        self._consumer = consumer
        self._callbacks = callbacks
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
        assignments = self.assignments
        message = self._consumer.poll(seconds_max)
        self._take_if_current([] if message is None else [message], assignments)

    def take_more(self, room: int, seconds_max: float) -> None:
        """Take at most `room` requests. Waits at most `seconds_max` until there are as many."""
        assignments = self.assignments
        self._take_if_current(self._consumer.consume(room, seconds_max), assignments)

    def hand_over(self) -> list[Request | Unreadable]:
        """Return everything taken, and hold it no longer."""
        entries, self.entries = self.entries, []
        return entries

    def begin(self, positions: dict[int, int]) -> None:
        """Take the requests of these partitions from these offsets on."""
        self.positions = positions

    def drop(self) -> None:
        """Forget everything taken, and the partitions with it."""
        self.assignments += 1
        self.positions = {}
        self._taking.clear()
        self.entries.clear()

    def rewind(self) -> None:
        """Let the consumer go on from the positions."""
        for partition in self.partitions(self.positions):
            self._consumer.seek(partition)

    def partitions(self, offsets: Mapping[int, int]) -> list[TopicPartition]:
        """Return partitions of the request topic, with the offsets to go on from."""
        return [TopicPartition(self._request_topic, partition, offset) for partition, offset in offsets.items()]

    def _take_if_current(self, messages: list[Message], assignments: int) -> None:
        """Take messages in, unless a rebalance inside the call may have mixed two assignments: then read all again."""
        self._callbacks.check()
        if assignments == self.assignments:
            self.entries.extend(self._taking.take(self._consumer, messages, self.positions))
        elif messages:
            self.rewind()
