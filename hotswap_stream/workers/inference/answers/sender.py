"""Answers into their topic, copies of what went wrong into the dead letters, copies to who asked for one."""

import threading
import time
from collections.abc import Callable, Collection, Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from hotswap_stream.kafka.librdkafka import is_fatal, partition_count
from hotswap_stream.workers.inference.answers.dead_letters import DeadLetterSender
from hotswap_stream.workers.inference.answers.writer import Answer, AnswerWriter, dead_letters
from hotswap_stream.workers.inference.limits import LoopLimits
from hotswap_stream.workers.inference.requests.quarantine import REFUSED
from hotswap_stream.workers.inference.waiting import Wait

_log = structlog.get_logger(__name__)

BULK_ANSWERS_MIN = 16
"""Batches of at least this many answers are sent in bulk."""
EXPECT_SECONDS_MAX = 10.0
EXPECT_POLL_SECONDS = 0.02
REASON_SECONDS_MAX = 1.0
"""A producer that ended says a moment later which record was refused, and why."""
_RECORD_OVERHEAD_BYTES = 4 * 1024
"""More than the headers of an answer, each of which is bounded, and the frame of a batch."""


class AnswerSender:
    """Send answers through one of two producers. Not for more than one thread at a time.

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
        letters: DeadLetterSender,
        limits: LoopLimits,
        stopping: threading.Event,
        on_answered: Callable[[int, int], None],
        send_reply: Callable[[Answer], None],
    ) -> None:
        self._quick = quick
        self._bulk = bulk
        self._producer = quick
        self.writer = writer
        self._response_topic = response_topic
        self._letters = letters
        self._limits = limits
        self._stopping = stopping
        self._on_answered = on_answered
        self._send_reply = send_reply
        self._begun: tuple[set[int], set[int]] = set(), set()
        """Partitions in which the quick producer has written, and the bulk one."""
        self._partitions = 0
        """Those below it are known to the producers."""
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
                self._letters.send(answer.record, answer.dead_letter_cause or "")
            self._letters.flush()
        wanted = self._bulk if len(answers) >= BULK_ANSWERS_MIN else self._quick
        if wanted is not self._producer and not len(self._producer):
            self._producer = wanted
        produce, topic = self._producer.produce, self._response_topic
        begun = self._begun[self._producer is self._bulk]
        answer_bytes_max = self._limits.response_bytes_max - self._limits.answer_key_bytes_max - _RECORD_OVERHEAD_BYTES
        last = {answer.record.partition: answer.record for answer in answers}
        for answer in answers:
            record = answer.record
            partition = record.partition
            if len(answer.value) > answer_bytes_max:
                answer = self._in_place(self.writer.too_large(answer, answer_bytes_max))
            first = partition not in begun
            on_delivery = self._delivered(partition, record.offset + 1) if last[partition] is record else None
            if first and on_delivery is None:
                on_delivery = self._written
            try:
                produce(topic, answer.value, record.key, partition, on_delivery, headers=answer.headers)
            except (BufferError, KafkaException):
                answer = self._produce(answer, on_delivery)
            if answer.reply_to is not None:
                self._send_reply(answer)
            if first:
                # The broker holds a producer to its order only from the first record on that it took: were this one
                # refused, it would take the next, and this request would never be answered.
                self._wait_until(0)
                begun.add(partition)
        self.poll(0)
        self._wait_until(self._limits.answers_in_flight_max)

    def _produce(self, answer: Answer, on_delivery: Callable[[KafkaError | None, Message], None] | None) -> Answer:
        """Hand over an answer for which there was no room, or that Kafka does not take: then an error in its place.

        Returns:
            What was handed over.
        """
        wait = Wait(self._stopping, "no room for answers")
        refused = False
        while True:
            record = answer.record
            try:
                self._producer.produce(
                    self._response_topic,
                    answer.value,
                    record.key,
                    record.partition,
                    on_delivery,
                    headers=answer.headers,
                )
                return answer
            except BufferError:
                pass
            except KafkaException as error:
                cause = error.args[0]
                if is_fatal(cause):
                    self.notice(cause)
                    self._find_reason()
                    raise KafkaException(self._error) from error
                if refused or cause.code() not in REFUSED:
                    raise
                refused = True
                answer = self._in_place(self.writer.refused(answer, cause.str()))
                continue
            in_flight = self.in_flight
            self.poll(0.05)
            if self.in_flight < in_flight:
                wait.progress()
            wait.check()

    def expect(self, partitions: Collection[int], windows_topic: str | None) -> None:
        """Have the producers know partitions, also new ones, before something is written there. KafkaException.

        What they know of a topic is minutes old, else. `windows_topic`: written to as well, by the same producer.
        """
        if max(partitions, default=-1) < self._partitions:
            return
        topics = [(self._quick, self._response_topic), (self._bulk, self._response_topic)]
        if windows_topic is not None:
            topics.append((self._quick, windows_topic))
        wait = Wait(self._stopping, "new partitions are not known", seconds_max=EXPECT_SECONDS_MAX)
        for producer, topic in topics:
            while (count := partition_count(producer, topic)) <= max(partitions):
                wait.pause(EXPECT_POLL_SECONDS)
        self._partitions = count

    def poll(self, seconds_max: float) -> None:
        """Take in acknowledgements. KafkaException if an answer could not be written."""
        self._poll(seconds_max)
        if self._error is not None:
            self._find_reason()
            raise KafkaException(self._error)

    def _poll(self, seconds_max: float) -> None:
        try:
            self._producer.poll(seconds_max)
        except KafkaException as error:  # the end of a producer comes out of the call itself
            self.notice(error.args[0])

    def flush(self) -> None:
        """Return when everything handed over is in its topic. KafkaException."""
        self._wait_until(0)

    def close(self) -> None:
        """Forget what was not sent."""
        for producer in (self._quick, self._bulk):
            producer.purge()
            producer.flush(0)

    def _wait_until(self, in_flight_max: int) -> None:
        """Return when so few are in flight. KafkaException if nothing was acknowledged for too long."""
        least = self.in_flight
        if least > in_flight_max:
            wait = Wait(self._stopping, "answers unsent, none of them taken")
            while (in_flight := self.in_flight) > in_flight_max:
                if in_flight < least:
                    least = in_flight
                    wait.progress()
                wait.check()
                self.poll(0.01)
        self.poll(0)

    def _find_reason(self) -> None:
        """Wait for the refusal of the record that ended a producer: it is told after the end."""
        give_up = time.monotonic() + REASON_SECONDS_MAX
        while self._error is not None and is_fatal(self._error) and time.monotonic() < give_up and self.in_flight:
            self._poll(0.05)

    def notice(self, error: KafkaError) -> None:
        """Take in an error of the producer as a whole; a fatal one ends it."""
        if is_fatal(error):
            self._error = self._error or error
        else:
            _log.debug("producer_error", error=str(error))

    def fail(self, error: KafkaError) -> None:
        """Take in that something was not written that this producer had to write."""
        if self._error is None or error.code() in REFUSED:
            self._error = error

    def _in_place(self, error: Answer) -> Answer:
        """Put the request into the dead letters, before the error that is sent in place of its answer."""
        self._letters.send(error.record, error.dead_letter_cause or "")
        self._letters.flush()
        return error

    def _written(self, error: KafkaError | None, _message: Message) -> None:
        """Take in that an answer before the last of its batch was written, or that it was not."""
        if error is not None:
            self.fail(error)

    def _delivered(self, partition: int, next_offset: int) -> Callable[[KafkaError | None, Message], None]:
        def acknowledged(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self.fail(error)
            elif self._error is None:
                self._on_answered(partition, next_offset)

        return acknowledged
