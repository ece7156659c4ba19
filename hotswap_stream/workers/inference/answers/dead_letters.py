"""Copies of requests that went wrong, into the dead letters.

By a producer of their own, opened with the first one: what the topic of the dead letters refuses must not end the
producer of the answers, which allows no gap. Where Kafka is slow a copy waits until those before it were taken, for the
same reason as answers (`lanes`).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hotswap_stream.application.topics.dead_letter import DeadRecord, dead_letter, smallest_dead_letter
from hotswap_stream.application.topics.records import OutboundRecord
from hotswap_stream.kafka.librdkafka import close_producer
from hotswap_stream.workers.inference.answers.lanes import SLOW_AGAIN_SECONDS, SLOW_SECONDS
from hotswap_stream.workers.inference.kafka_clients import dead_letter_producer
from hotswap_stream.workers.inference.waiting import Wait

_log = structlog.get_logger(__name__)

HELD_SECONDS_MAX = 1.0
"""Copies wait for no longer for others of which none is taken: the leader of these may be away, and not of all."""
HELD_BYTES_MAX = 16 * 1024**2
"""Of copies that wait; more are handed to the client, which makes wait who brings them when it has too many."""

OnDone = Callable[[], None]
OnDelivery = Callable[[KafkaError | None, Message], None]


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
        self._held: deque[tuple[OutboundRecord, OnDelivery]] = deque()
        """Not handed to the client yet."""
        self._held_bytes = 0
        self._slow_until_s = -1.0
        """Monotonic: until when Kafka is taken for slow."""
        self._taken_s = time.monotonic()
        """When it took that one."""
        self.lost_count = 0

    def send(self, record: DeadRecord, cause: str, on_done: OnDone = _nothing) -> None:
        """Hand one copy over. KafkaException when Kafka takes nothing.

        `on_done` is called, from the methods here, when the copy is in the topic, or was refused.
        """
        letter, on_delivery = dead_letter(record, cause, topic=self._topic), self._on_first(record, cause, on_done)
        if self._holds():
            self._held.append((letter, on_delivery))
            self._held_bytes += len(letter.value or b"")
        else:
            self._hand_over()
            self._produce(letter, on_delivery)

    def poll(self) -> None:
        """Take in what became of copies. KafkaException when Kafka takes nothing."""
        if self._producer is not None and (len(self._producer) or self._refused or self._held):
            self._producer.poll(0)
            self._send_refused()
            if not self._holds():
                self._hand_over()

    def _holds(self) -> bool:
        """Return whether copies have to wait for others."""
        if self._producer is None or not len(self._producer) or self._held_bytes > HELD_BYTES_MAX:
            return False
        now_s = time.monotonic()
        return now_s < self._slow_until_s and now_s - self._taken_s <= HELD_SECONDS_MAX

    def _hand_over(self) -> None:
        while self._held:
            letter, on_delivery = self._held.popleft()
            self._held_bytes -= len(letter.value or b"")
            self._produce(letter, on_delivery)

    def flush(self) -> None:
        """Return when everything handed over is in the topic, or was refused. KafkaException."""
        producer = self._producer
        if producer is None:
            return
        wait = Wait(self._stopping, "dead letters unsent, none of them taken")
        least = len(producer)
        while len(producer) or self._refused or self._held:
            self._send_refused()
            self._hand_over()
            producer.poll(0.01)
            if len(producer) < least:
                least = len(producer)
                wait.progress()
            wait.check()

    def close(self) -> None:
        """Forget what was not sent."""
        if self._producer is not None:
            close_producer(self._producer)

    def _send_refused(self) -> None:
        while self._refused:
            record, cause, on_done = self._refused.popleft()
            self._produce(smallest_dead_letter(record, cause, topic=self._topic), self._on_last(record, on_done))

    def _produce(self, letter: OutboundRecord, on_delivery: OnDelivery) -> None:
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

    def _on_first(self, record: DeadRecord, cause: str, on_done: OnDone) -> OnDelivery:
        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._taken_s = time.monotonic()
                if (message.latency() or 0.0) > SLOW_SECONDS:
                    self._slow_until_s = self._taken_s + SLOW_AGAIN_SECONDS
                on_done()
            else:
                self._refused.append((record, cause, on_done))

        return delivered

    def _on_last(self, record: DeadRecord, on_done: OnDone) -> OnDelivery:
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
