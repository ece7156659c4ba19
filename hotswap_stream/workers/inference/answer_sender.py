"""Answers into their topic, copies of what went wrong into the dead letters, copies to who asked for one."""

import time
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hotswap_events import headers as header_names
from hotswap_stream.workers.inference.answers import Answer, AnswerWriter, dead_letters
from hotswap_stream.workers.inference.kafka_clients import LoopLimits

_log = structlog.get_logger(__name__)

DEAD_LETTER_BYTES_MAX = 900_000
"""Larger requests are cut in the dead letters; the original stays in its topic, named by partition and offset."""
STUCK_SECONDS_MAX = 60.0
"""Answers that no broker takes for so long end this life of the loop; the next begins behind the last answer."""
BULK_ANSWERS_MIN = 16
"""Batches of so many answers are sent in bulk."""
_RECORD_OVERHEAD_BYTES = 512


class AnswerSender:
    """Sends through one of two producers. Not for more than one thread at a time.

    `quick` sends each answer at once, which wakes a thread of the client's for it: right for a few. `bulk` lets answers
    gather for a moment: for many that is a fraction of the work. Only one has answers in flight, so they keep their
    order: the other takes over when it has none.

    `on_answered(partition, next_offset)` is called, from the methods here, when the answers to all requests below
    `next_offset` are in the topic.
    """

    def __init__(
        self,
        quick: Producer,
        bulk: Producer,
        writer: AnswerWriter,
        *,
        response_topic: str,
        dead_letter_topic: str,
        limits: LoopLimits,
        on_answered: Callable[[int, int], None],
        send_reply: Callable[[Answer], None],
    ) -> None:
        self._quick = quick
        self._bulk = bulk
        self._producer = quick
        self._writer = writer
        self._response_topic = response_topic
        self._dead_letter_topic = dead_letter_topic
        self._limits = limits
        self._on_answered = on_answered
        self._send_reply = send_reply
        self._error: KafkaError | None = None

    @property
    def in_flight(self) -> int:
        """Answers not yet acknowledged."""
        return len(self._producer)

    def send(self, answers: Sequence[Answer]) -> None:
        """Hand over the answers of one batch, and wait only while too many are in flight. KafkaException.

        Dead letters are in their topic before the answers are handed over, so that none is missing for an answer
        that is there.
        """
        letters = dead_letters(answers)
        if letters:
            for answer in letters:
                self._send_dead_letter(answer)
            self.flush()
        wanted = self._bulk if len(answers) >= BULK_ANSWERS_MIN else self._quick
        if wanted is not self._producer and not len(self._producer):
            self._producer = wanted
        produce, topic = self._producer.produce, self._response_topic
        answer_bytes_max = self._limits.response_bytes_max - _RECORD_OVERHEAD_BYTES
        last = {answer.record.partition: answer.record for answer in answers}
        for answer in answers:
            record = answer.record
            partition = record.partition
            if len(answer.value) > answer_bytes_max:
                answer = self._too_large(answer, answer_bytes_max)
            on_delivery = self._delivered(partition, record.offset + 1) if last[partition] is record else None
            while True:
                try:
                    produce(topic, answer.value, record.key, partition, on_delivery, headers=answer.headers)
                    break
                except BufferError:
                    self.poll(0.05)
            if answer.reply_to is not None:
                self._send_reply(answer)
        self.poll(0)
        self._wait_until(self._limits.answers_in_flight_max)

    def poll(self, seconds_max: float) -> None:
        """Take in acknowledgements. KafkaException if an answer could not be written."""
        self._producer.poll(seconds_max)
        if self._error is not None:
            raise KafkaException(self._error)

    def flush(self) -> None:
        """Return when everything handed over is in its topic. KafkaException."""
        self._wait_until(0)

    def _wait_until(self, in_flight_max: int) -> None:
        """Return when so few are in flight. KafkaException if nothing was acknowledged for too long."""
        least, give_up = self.in_flight, time.monotonic() + STUCK_SECONDS_MAX
        while (in_flight := self.in_flight) > in_flight_max:
            if in_flight < least:
                least, give_up = in_flight, time.monotonic() + STUCK_SECONDS_MAX
            elif time.monotonic() > give_up:
                reason = f"{in_flight} answers unsent, none of them taken for {STUCK_SECONDS_MAX} s"
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason))
            self.poll(0.01)
        self.poll(0)

    def notice(self, error: KafkaError) -> None:
        """An error of the producer as a whole; a fatal one ends it."""
        if error.fatal():
            self._error = error
        else:
            _log.debug("producer_error", error=str(error))

    def fail(self, error: KafkaError) -> None:
        """Something else that this producer had to write was not written."""
        self._error = error

    def _too_large(self, answer: Answer, answer_bytes_max: int) -> Answer:
        error = self._writer.too_large(answer, answer_bytes_max)
        self._send_dead_letter(error)
        return error

    def _delivered(self, partition: int, next_offset: int) -> Callable[[KafkaError | None, Message], None]:
        def acknowledged(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self._error = error
            elif self._error is None:
                self._on_answered(partition, next_offset)

        return acknowledged

    def _failed(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._error = error

    def _send_dead_letter(self, answer: Answer) -> None:
        record = answer.record
        # Not every record has a value or a key, and a dead letter must have one of them to be sent at all.
        value = b"" if record.value is None else record.value[:DEAD_LETTER_BYTES_MAX]
        self._producer.produce(
            self._dead_letter_topic,
            value,
            record.key,
            headers=[
                *[header for header in record.headers if header[0] == header_names.CONTENT_TYPE],
                (header_names.DEAD_LETTER_CAUSE, (answer.dead_letter_cause or "").encode()),
                (header_names.ORIGIN_TOPIC, record.topic.encode()),
                (header_names.ORIGIN_PARTITION, b"%d" % record.partition),
                (header_names.ORIGIN_OFFSET, b"%d" % record.offset),
                (header_names.ORIGIN_TIMESTAMP_MS, b"%d" % record.timestamp_ms),
            ],
            on_delivery=self._failed,
        )
