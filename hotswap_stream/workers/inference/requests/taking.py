"""Messages of a consumer → requests, each once and in order; and what stands for those that cannot be read."""

from collections.abc import Callable, Collection, Sequence

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from hotswap_stream.kafka.librdkafka import is_fatal
from hotswap_stream.kafka.unreadable_batches import is_unreadable
from hotswap_stream.workers.inference.requests.records import record_of
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable, read_request
from hotswap_stream.workers.inference.requests.stepping_over import UnreadablePartitions

_NEVER = 2**63
"""More than any offset: nothing is taken of a partition that is not this worker's."""


class Taking:
    """Turn messages of one request topic into requests. `on_error` hears what the consumer does not heal by itself."""

    def __init__(
        self,
        request_topic: str,
        unreadable: UnreadablePartitions,
        *,
        bytes_max: int,
        key_bytes_max: int,
        on_error: Callable[[KafkaError], None],
    ) -> None:
        self._request_topic = request_topic
        self._unreadable = unreadable
        self._bytes_max, self._key_bytes_max = bytes_max, key_bytes_max
        self._on_error = on_error

    @property
    def blocked(self) -> Collection[int]:
        """Partitions that something unreadable keeps from moving."""
        return self._unreadable.blocked

    def clear(self, partitions: Collection[int] | None = None) -> None:
        """Forget partitions, or all: somebody else has them."""
        self._unreadable.clear(partitions)

    def take(
        self, consumer: Consumer, messages: Sequence[Message], positions: dict[int, int]
    ) -> list[Request | Unreadable]:
        """Return what messages bring, in order.

        Args:
            consumer: The consumer that brought them; it is moved on after what cannot be read.
            messages: What it brought, errors included.
            positions: Partition → the next request to take; moved on here.
        """
        unreadable: list[Message] = []
        entries: list[Request | Unreadable] = []
        topic, bytes_max, key_bytes_max = self._request_topic, self._bytes_max, self._key_bytes_max
        for message in messages:
            error = message.error()
            if error is None:
                record = record_of(topic, message)
                partition, offset = record.partition, record.offset
                if offset >= positions.get(partition, _NEVER):
                    positions[partition] = offset + 1
                    entries.append(read_request(record, bytes_max, key_bytes_max))
            elif is_unreadable(error):
                unreadable.append(message)
            elif is_fatal(error) or not error.retriable():
                self._on_error(error)
        for message in unreadable:
            over = self._unreadable.step_over(message, positions)
            if over is not None:
                positions[over.partition] = over.next_offset
                entries.extend(over.entries)
                consumer.seek(TopicPartition(self._request_topic, over.partition, over.next_offset))
        return entries
