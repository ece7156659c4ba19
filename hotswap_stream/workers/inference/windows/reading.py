"""Reading windows back when partitions are taken over: the records of the topic, then the requests after them."""

import math
import threading
from collections.abc import Callable, Mapping

import structlog
from confluent_kafka import Consumer, Message, TopicPartition

from hotswap_events.inference.windows import WindowRecord
from hotswap_stream.application.windows.fold import WindowFold
from hotswap_stream.kafka.blocking_reads import read_to_ends
from hotswap_stream.kafka.librdkafka import partition_count, watermarks
from hotswap_stream.kafka.unreadable_batches import ReadOn
from hotswap_stream.workers.inference.waiting import Wait

_log = structlog.get_logger(__name__)


class TopicReader:
    """Read parts of topics. Blocking; KafkaException if they cannot be read.

    It reads by one of `tail_consumer` that is kept, in its thread. A client for each take-over would start threads each
    time, and the allocator would keep for every one of them what the largest take-over needed.
    """

    def __init__(self, consumer: Consumer, *, read_on: ReadOn, stopping: threading.Event) -> None:
        self._consumer = consumer
        self._read_on = read_on
        self._stopping = stopping

    def exists(self, topic: str) -> bool:
        """Return whether there is such a topic; it is not made by asking."""
        return partition_count(self._consumer, topic) > 0

    def count(self, topic: str) -> int:
        """Return how many partitions a topic has; 0 if there is none."""
        return partition_count(self._consumer, topic)

    def windows(self, topic: str, partitions: list[int]) -> dict[int, WindowFold[WindowRecord]]:
        """Return all that is kept of these partitions."""
        folds = {partition: WindowFold(WindowRecord) for partition in partitions}
        self._read(topic, dict.fromkeys(partitions, (0, None)), _apply_to(folds))
        return folds

    def end(self, topic: str, partition: int) -> int:
        """Return the offset of the partition's next record."""
        return watermarks(self._consumer, TopicPartition(topic, partition))[1]

    def between(self, topic: str, ranges: Mapping[int, tuple[int, int]], on_message: Callable[[Message], None]) -> None:
        """Hand on records. `ranges`: partition → first offset, and the one before which to stop.

        Records that are gone are left out.
        """
        self._read(topic, ranges, on_message)

    def _read(
        self, topic: str, ranges: Mapping[int, tuple[int, int | None]], on_message: Callable[[Message], None]
    ) -> None:
        ends: dict[int, int] = {}
        starts: list[TopicPartition] = []
        for partition, (start, stop) in ranges.items():
            begin, end = watermarks(self._consumer, TopicPartition(topic, partition))
            end = end if stop is None else min(end, stop)
            if max(begin, start) < end:
                if stop is not None and begin > start:
                    _log.warning("requests_gone", topic=topic, partition=partition, first=start, first_there=begin)
                ends[partition] = end
                starts.append(TopicPartition(topic, partition, max(begin, start)))
        wait = Wait(self._stopping, f"{topic} is not read to its end", seconds_max=math.inf)
        for messages in read_to_ends(self._consumer, starts, ends, self._read_on, what=f"{topic} up to its end"):
            wait.check()
            for message in messages:
                on_message(message)


def _apply_to(folds: Mapping[int, WindowFold[WindowRecord]]) -> Callable[[Message], None]:
    def apply(message: Message) -> None:
        partition = message.partition()
        if partition is not None:
            folds[partition].apply(message.key(), message.value())

    return apply
