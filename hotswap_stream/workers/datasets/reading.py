"""The records of a dataset, out of their topics: one partition after the other, each from place to place. Blocking."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self

from confluent_kafka import KafkaException, Message, TopicPartition
from msgspec import Struct

from hotswap_events.dataset import OffsetRange
from hotswap_stream.application.datasets.errors import DatasetError
from hotswap_stream.application.datasets.order import DatasetOrder, Held, Places
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.blocking_reads import read_to_ends
from hotswap_stream.kafka.librdkafka import bulk_consumer, partition_count, watermarks
from hotswap_stream.kafka.unreadable_batches import reading_on
from hotswap_stream.workers.datasets.labels import FeedbackRecord
from hotswap_stream.workers.inference.requests.records import RequestRecord, records_of

ASK_SECONDS_MAX = 10.0


class DatasetTopics(Struct, frozen=True):
    """Where the records are."""

    requests: str
    feedback: str
    group: str
    """Named to the brokers, and never joined."""


class DatasetReader:
    """Reads with a consumer of its own; `close` it, or use it with `with`.

    Every method raises LogUnavailableError where the cluster does not answer.
    """

    def __init__(
        self, librdkafka_options: Mapping[str, Any], client_options: Mapping[str, Any], topics: DatasetTopics
    ) -> None:
        self._topics = topics
        self._read_on = reading_on(client_options)
        self._consumer = bulk_consumer(librdkafka_options, topics.group)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def places(self, order: DatasetOrder) -> Places:
        """Return what the topics hold, and where the times of the order lie in them."""
        try:
            held = self._held(self._topics.requests)
            return Places(
                requests=held,
                feedback=self._held(self._topics.feedback),
                since=self._at(order.since, held),
                until=self._at(order.until, held),
            )
        except KafkaException as error:
            raise LogUnavailableError(f"the topics of a dataset cannot be read: {error}") from error

    def requests(self, ranges: Iterable[OffsetRange]) -> Iterator[RequestRecord]:
        """Yield the requests, by partition and offset."""
        topic = self._topics.requests
        for messages in self._messages(topic, ranges):
            yield from records_of(topic, messages)

    def feedback(self, ranges: Iterable[OffsetRange]) -> Iterator[FeedbackRecord]:
        """Yield the feedback, of all models."""
        for messages in self._messages(self._topics.feedback, ranges):
            for message in messages:
                partition, offset = message.partition(), message.offset()
                if partition is not None and offset is not None:
                    yield FeedbackRecord(partition, offset, message.timestamp()[1], message.value())

    def _messages(self, topic: str, ranges: Iterable[OffsetRange]) -> Iterator[list[Message]]:
        for each in ranges:
            if each.first >= each.until:
                continue
            start = TopicPartition(topic, each.partition, each.first)
            try:
                yield from read_to_ends(
                    self._consumer, [start], {each.partition: each.until}, self._read_on, what=repr(topic)
                )
                first, _end = watermarks(self._consumer, start)
            except KafkaException as error:
                raise LogUnavailableError(f"{topic!r} cannot be read: {error}") from error
            if first > each.first:
                raise DatasetError(
                    f"records of partition {each.partition} of {topic!r} were deleted while they were read: it begins "
                    f"at {first} now, and {each.first} is asked for"
                )

    def _held(self, topic: str) -> dict[int, Held]:
        count = partition_count(self._consumer, topic)
        return {number: Held(*watermarks(self._consumer, TopicPartition(topic, number))) for number in range(count)}

    def _at(self, time: datetime | None, held: Mapping[int, Held]) -> dict[int, int]:
        """Return the first request from a time on; where there is none, the end."""
        if time is None or not held:
            return {}
        # Kafka knows no time before 1970.
        time_ms = max(0, int(time.timestamp() * 1_000))
        asked = [TopicPartition(self._topics.requests, number, time_ms) for number in held]
        found = self._consumer.offsets_for_times(asked, timeout=ASK_SECONDS_MAX)
        return {each.partition: each.offset if each.offset >= 0 else held[each.partition].end for each in found}
