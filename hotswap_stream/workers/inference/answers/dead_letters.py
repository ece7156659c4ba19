"""Copies of requests that went wrong, into the dead letters.

By a producer of their own, opened with the first one: what the topic of the dead letters refuses must not end the
producer of the answers, which allows no gap.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hotswap_stream.application.topics.dead_letter import DeadRecord, dead_letter, smallest_dead_letter
from hotswap_stream.application.topics.records import OutboundRecord
from hotswap_stream.workers.inference.kafka_clients import dead_letter_producer
from hotswap_stream.workers.inference.waiting import Wait

_log = structlog.get_logger(__name__)

OnDone = Callable[[], None]


def _nothing() -> None:
    """Nobody waits for the copy."""


class DeadLetterSender:
    """Send copies of requests that went wrong. Not for more than one thread at a time.

    A copy that its topic refuses is counted, told once, and left out: the record itself stays in its topic.
    """

    def __init__(self, options: Mapping[str, Any], *, worker: str, topic: str, stopping: threading.Event) -> None:
        self._options = options
        self._worker = worker
        self._topic = topic
        self._stopping = stopping
        self._producer: Producer | None = None
        self._refused: deque[tuple[DeadRecord, str, OnDone]] = deque()
        """Whose first copy was not taken."""
        self.lost_count = 0

    def send(self, record: DeadRecord, cause: str, on_done: OnDone = _nothing) -> None:
        """Hand one copy over. KafkaException when Kafka takes nothing.

        `on_done` is called, from the methods here, when the copy is in the topic, or was refused.
        """
        self._produce(dead_letter(record, cause, topic=self._topic), self._on_first(record, cause, on_done))

    def poll(self) -> None:
        """Take in what became of copies. KafkaException when Kafka takes nothing."""
        if self._producer is not None and (len(self._producer) or self._refused):
            self._producer.poll(0)
            self._send_refused()

    def flush(self) -> None:
        """Return when everything handed over is in the topic, or was refused. KafkaException."""
        producer = self._producer
        if producer is None:
            return
        wait = Wait(self._stopping, "dead letters unsent, none of them taken")
        least = len(producer)
        while len(producer) or self._refused:
            self._send_refused()
            producer.poll(0.01)
            if len(producer) < least:
                least = len(producer)
                wait.progress()
            wait.check()

    def close(self) -> None:
        """Forget what was not sent."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(0)

    def _send_refused(self) -> None:
        while self._refused:
            record, cause, on_done = self._refused.popleft()
            self._produce(smallest_dead_letter(record, cause, topic=self._topic), self._on_last(record, on_done))

    def _produce(self, letter: OutboundRecord, on_delivery: Callable[[KafkaError | None, Message], None]) -> None:
        if self._producer is None:
            self._producer = dead_letter_producer(self._options, worker=self._worker)
        producer, wait = self._producer, Wait(self._stopping, "no room for dead letters")
        while True:
            try:
                # Without a key and a value it would not be a record to some readers.
                value = b"" if letter.value is None else letter.value
                producer.produce(letter.topic, value, letter.key, headers=list(letter.headers), on_delivery=on_delivery)
                return
            except BufferError:
                producer.poll(0.05)
                wait.check()
            except KafkaException as error:
                on_delivery(error.args[0], None)  # type: ignore[arg-type]  # it is not looked at
                return

    def _on_first(
        self, record: DeadRecord, cause: str, on_done: OnDone
    ) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                on_done()
            else:
                self._refused.append((record, cause, on_done))

        return delivered

    def _on_last(self, record: DeadRecord, on_done: OnDone) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self._lost(record, error)
            on_done()

        return delivered

    def _lost(self, record: DeadRecord, error: KafkaError) -> None:
        self.lost_count += 1
        say = _log.error if self.lost_count == 1 else _log.debug
        say(
            "dead_letter_not_written",
            topic=self._topic,
            origin=f"{record.topic}/{record.partition}/{record.offset}",
            error=str(error),
            advice="the topic must exist and take records of 1 MiB from this worker; the request is in its topic",
        )
