"""How far the answers have come, partition by partition, while the run goes on."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from confluent_kafka import Consumer, TopicPartition

from hotswap_events.inference.answers import AnswerRule, TagCheck
from tests.torture.topic_reading import LOG_LEVEL, headers_of

_PAGE_RECORDS = 500
_PAGE_SECONDS = 0.2
_FETCH_BYTES = 256 * 1024
_FETCH_MS = 500


class AnswerWatch:
    """Reads the response topic in a thread of its own. A context manager."""

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int, tags: TagCheck) -> None:
        self.answered = [0] * partitions
        """One more than the highest request offset answered."""
        self.last_answer_s = time.monotonic()
        """When `answered` last grew, by the monotonic clock."""
        self._topic, self._tags = topic, tags
        self._rules = [AnswerRule(partition, tags) for partition in range(partitions)]
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "torture-watch",
                "enable.auto.commit": False,
                # Seldom: asking for each answer as it comes would take the brokers time that is not the workers'
                "fetch.min.bytes": _FETCH_BYTES,
                "fetch.wait.max.ms": _FETCH_MS,
                "log_level": LOG_LEVEL,
            }
        )
        self._consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        self._new: SimpleQueue[list[TopicPartition]] = SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="answer-watch", daemon=True)

    def __enter__(self) -> "AnswerWatch":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._consumer.close()

    def grow(self, partitions: int) -> None:
        """Read as many partitions from here on."""
        new = range(len(self.answered), partitions)
        self._rules += [AnswerRule(partition, self._tags) for partition in new]
        self.answered += [0] * len(new)
        self._new.put([TopicPartition(self._topic, partition, 0) for partition in new])

    def has_all(self, sent: Sequence[int]) -> bool:
        """Whether that number of requests was answered in every partition."""
        return all(answered >= count for answered, count in zip(self.answered, sent, strict=True))

    def _read(self) -> None:
        while not self._stopped.is_set():
            with suppress(Empty):  # by the thread that reads: the client is not for two at a time
                self._consumer.incremental_assign(self._new.get_nowait())
            for message in self._consumer.consume(_PAGE_RECORDS, _PAGE_SECONDS):
                partition = message.partition()
                if message.error() is not None or partition is None:
                    continue
                answer = self._rules[partition].take(headers_of(message))
                if answer is not None:
                    self.answered[partition] = answer.request_offset + 1
                    self.last_answer_s = time.monotonic()
