"""Answers into their topic, copies of what went wrong into the dead letters, copies to who asked for one."""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

import structlog
from confluent_kafka import KafkaError, KafkaException, Message

from hotswap_stream.kafka.librdkafka import is_fatal
from hotswap_stream.workers.inference.answers.dead_letters import DeadLetterSender
from hotswap_stream.workers.inference.answers.lanes import (
    BULK,
    PATIENT,
    QUICK,
    Lane,
    Lanes,
    Letter,
    OnDelivery,
    Waiting,
)
from hotswap_stream.workers.inference.answers.producers import AnswerProducers
from hotswap_stream.workers.inference.answers.writer import Answer, AnswerWriter
from hotswap_stream.workers.inference.kafka_clients import PATIENT_LINGER_MS
from hotswap_stream.workers.inference.limits import LoopLimits
from hotswap_stream.workers.inference.requests.quarantine import REFUSED
from hotswap_stream.workers.inference.spread_producer import Produce, SpreadProducer
from hotswap_stream.workers.inference.waiting import STUCK_SECONDS_MAX, Wait

_log = structlog.get_logger(__name__)

BULK_ANSWERS_MIN = 16
"""Batches of at least this many answers are sent in bulk."""
TOGETHER_SECONDS_MAX = PATIENT_LINGER_MS / 1000 / 2
"""What is handed over in so long goes to Kafka together. Of more, some would be ready while the rest is under way."""
REASON_SECONDS_MAX = 1.0
"""A producer that ended says a moment later which record was refused, and why."""
STUCK_SHARE = 10
"""No more requests are taken of a stuck partition of which this part of all answers that may be in flight is."""
_UNSENT = "answers unsent, none of them taken"
_RECORD_OVERHEAD_BYTES = 4 * 1024
"""More than the headers of an answer, each of which is bounded, and the frame of a batch."""


class AnswerSender:
    """Send answers, each partition's in the order of its requests. Not for more than one thread at a time.

    `on_answered(partition, next_offset)` is called, from the methods here, when the answers to all requests below
    `next_offset` are in the topic.
    """

    def __init__(
        self,
        ways: Sequence[SpreadProducer],
        writer: AnswerWriter,
        *,
        response_topic: str,
        letters: DeadLetterSender,
        limits: LoopLimits,
        stopping: threading.Event,
        on_answered: Callable[[int, int], None],
        send_reply: Callable[[Answer], None],
    ) -> None:
        self._producers = AnswerProducers(ways, response_topic=response_topic, stopping=stopping)
        self.writer = writer
        self._response_topic = response_topic
        self._letters = letters
        self._limits = limits
        self._stopping = stopping
        self._on_answered = on_answered
        self._send_reply = send_reply
        self._open: dict[int, Produce] = {}
        """How to hand over answers of the partitions whose answers need not wait: their producer has written there."""
        self._lanes = Lanes()
        self._ready: set[int] = set()
        """Partitions in which something came that an answer waited for."""
        self._taken_s = time.monotonic()
        """When Kafka took the last answer."""
        self._gathering = False
        """Whether something was handed over that goes when it is told to."""
        self._error: KafkaError | None = None

    @property
    def in_flight(self) -> int:
        """Answers not yet acknowledged."""
        return len(self._producers) + self._lanes.waiting

    @property
    def waiting(self) -> bool:
        """Whether answers wait for something before them: `poll` soon."""
        return self._lanes.waiting > 0

    def send(self, answers: Sequence[Answer]) -> None:
        """Hand over the answers of one batch, and wait only while too many are in flight. KafkaException.

        A dead letter is in its topic before its answer is handed over, so that none is missing for an answer that is
        there. Answers of the same partition wait behind it, those of others do not.
        """
        topic, is_open = self._response_topic, self._open
        answer_bytes_max = self._limits.response_bytes_max - self._limits.answer_key_bytes_max - _RECORD_OVERHEAD_BYTES
        last = {answer.record.partition: answer.record for answer in answers}
        way = BULK if len(answers) >= BULK_ANSWERS_MIN else QUICK
        for partition in self._lanes.hand(last, time.monotonic(), way):
            is_open.pop(partition, None)
        for answer in answers:
            record = answer.record
            partition = record.partition
            if len(answer.value) > answer_bytes_max:
                answer = self.writer.too_large(answer, answer_bytes_max)
            on_delivery = self._delivered(partition, record.offset + 1) if last[partition] is record else None
            produce = is_open.get(partition)
            if produce is not None and answer.dead_letter_cause is None:
                try:
                    produce(topic, answer.value, record.key, partition, on_delivery, headers=answer.headers)
                except (BufferError, KafkaException):
                    self._line_up(Waiting(answer, on_delivery))
                    continue
                if answer.reply_to is not None:
                    self._send_reply(answer)
            else:
                letter = None if answer.dead_letter_cause is None else self._copy(answer)
                self._line_up(Waiting(answer, on_delivery, letter))
        self.poll(0)
        self._make_room()

    def _line_up(self, waiting: Waiting) -> None:
        """Let an answer wait behind those of its partition that wait."""
        partition = waiting.answer.record.partition
        self._open.pop(partition, None)
        self._lanes.put(partition, waiting)
        self._ready.add(partition)

    def _advance(self, partition: int) -> None:
        """Hand over the answers of a partition, up to the first that has to wait. KafkaException."""
        lane, began_s = self._lanes.of(partition), time.monotonic()
        while lane.waiting and not lane.closed_to((first := lane.waiting[0]).answer.record.offset):
            if first.letter is not None and not first.letter.there:
                return
            if not self._produce(lane, first):
                return
            lane.waiting.popleft()
            self._lanes.waiting -= 1
            if first.answer.reply_to is not None:
                self._send_reply(first.answer)
            self._gathering = self._gathering or lane.way == PATIENT
            if lane.way == PATIENT and lane.waiting and time.monotonic() - began_s > TOGETHER_SECONDS_MAX:
                # Others would not go together with these.
                lane.held_until = first.answer.record.offset + 1
        if not lane.closed_to(lane.handed):
            self._open[partition] = self._producers.produce_to(partition, lane.way)

    def _produce(self, lane: Lane, waiting: Waiting) -> bool:
        """Hand over one answer, once there is room. KafkaException.

        Returns:
            Whether it was handed over. One that Kafka does not take waits as an error in its place.
        """
        wait = None
        record = waiting.answer.record
        on_delivery = waiting.on_delivery
        if lane.way == PATIENT and on_delivery is None:
            on_delivery = self._delivered(record.partition, record.offset + 1)  # others may have to wait for this one
        begun = self._producers.begun(lane.way)
        produce = self._producers.produce_to(record.partition, lane.way)
        opens = record.partition not in begun
        if opens:
            # The broker holds a producer to its order only from the first record on that it took: were this one
            # refused, it would take the next, and this request would never be answered.
            on_delivery = self._opened(lane, begun, record.partition, on_delivery)
        while True:
            try:
                value, headers = waiting.answer.value, waiting.answer.headers
                produce(self._response_topic, value, record.key, record.partition, on_delivery, headers=headers)
            except BufferError:
                wait = wait or Wait(self._stopping, "no room for answers")
                in_flight = self.in_flight
                self._poll(0.05)
                self._raise_error()
                if self.in_flight < in_flight:
                    wait.progress()
                wait.check()
                continue
            except KafkaException as error:
                cause = error.args[0]
                if is_fatal(cause):
                    self.notice(cause)
                    self._find_reason()
                    raise KafkaException(self._error) from error
                if waiting.replaced or cause.code() not in REFUSED:
                    raise
                waiting.replaced, waiting.answer = True, self.writer.refused(waiting.answer, cause.str())
                waiting.letter = self._copy(waiting.answer)
                return False
            lane.opening = opens
            return True

    def _copy(self, error: Answer) -> Letter:
        """Put the request of an error into the dead letters; the error waits until it is there. KafkaException."""
        letter, partition = Letter(), error.record.partition

        def done() -> None:
            letter.there = True
            self._ready.add(partition)

        self._letters.send(error.record, error.dead_letter_cause or "", done)
        return letter

    def expect(self, partitions: Collection[int], windows_topic: str | None) -> None:
        """Have the producers know partitions, as `AnswerProducers.expect`. KafkaException."""
        self._producers.expect(partitions, windows_topic)

    def poll(self, seconds_max: float) -> None:
        """Take in acknowledgements, and hand over what waited for them. KafkaException if an answer was not written."""
        self._poll(seconds_max)
        self._letters.poll()
        self._raise_error()
        while self._ready:
            self._advance(self._ready.pop())
        if self._gathering:
            self._gathering = False
            self._call(self._producers.go)

    def _poll(self, seconds_max: float) -> None:
        self._call(partial(self._producers.poll, seconds_max))

    def _call(self, call: Callable[[], None]) -> None:
        try:
            call()
        except KafkaException as error:  # the end of a producer comes out of the call itself
            self.notice(error.args[0])

    def _raise_error(self) -> None:
        if self._error is not None:
            self._find_reason()
            raise KafkaException(self._error)

    def flush(self) -> None:
        """Return when everything handed over is in its topic. KafkaException."""
        least = self.in_flight
        wait = Wait(self._stopping, _UNSENT)
        while (in_flight := self.in_flight) > 0:
            if in_flight < least:
                least = in_flight
                wait.progress()
            wait.check()
            self.poll(0.01)
        self.poll(0)

    def settle(self, partitions: Collection[int], *, seconds_max: float = STUCK_SECONDS_MAX) -> set[int]:
        """Wait for the answers of these partitions, but not for partitions that are stuck. KafkaException.

        Returns:
            Those of which all answers are in their topic.
        """
        self.poll(0)
        wait = Wait(self._stopping, _UNSENT)
        give_up_s = time.monotonic() + seconds_max
        while (left := self._lanes.unsettled(partitions)) and (now_s := time.monotonic()) < give_up_s:
            if left <= self._lanes.stuck(now_s).keys():
                break
            wait.check()
            self.poll(0.01)
        return set(partitions) - left

    def stuck(self) -> frozenset[int]:
        """Return the partitions of which Kafka takes no answers, and so many are under way that no more should be made.

        KafkaException if too many are under way and none at all was taken for too long.
        """
        now_s, limit = time.monotonic(), self._limits.answers_in_flight_max
        if self.in_flight > limit and now_s - self._taken_s > STUCK_SECONDS_MAX:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{_UNSENT} for {STUCK_SECONDS_MAX:g} s"))
        stuck = self._lanes.stuck(now_s)
        return frozenset(number for number, under_way in stuck.items() if under_way * STUCK_SHARE >= limit)

    def forget(self, partitions: Collection[int] | None = None) -> None:
        """Forget what was not handed to Kafka yet, of these partitions or of all: it is somebody else's to answer."""
        self._lanes.forget(partitions)

    def close(self) -> None:
        """Forget what was not sent."""
        self._producers.close()

    def _make_room(self) -> None:
        """Wait while too many answers are in flight, without those that are stuck. KafkaException."""
        limit = self._limits.answers_in_flight_max
        if self.in_flight <= limit:
            return
        least, wait = self.in_flight, Wait(self._stopping, _UNSENT)
        while (in_flight := self.in_flight) - sum(self._lanes.stuck(time.monotonic()).values()) > limit:
            if in_flight < least:
                least = in_flight
                wait.progress()
            wait.check()
            self.poll(0.01)

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

    def _opened(self, lane: Lane, begun: set[int], partition: int, on_delivery: OnDelivery | None) -> OnDelivery:
        def acknowledged(error: KafkaError | None, message: Message) -> None:
            lane.opening = False
            if error is not None:
                self.fail(error)
                return
            begun.add(partition)
            self._ready.add(partition)
            if on_delivery is not None:
                on_delivery(None, message)

        return acknowledged

    def _delivered(self, partition: int, next_offset: int) -> OnDelivery:
        lane = self._lanes.of(partition)
        epoch = lane.epoch

        def acknowledged(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.fail(error)
            elif self._error is None:
                self._taken_s = time.monotonic()
                if lane.epoch == epoch and lane.take(next_offset, self._taken_s, message.latency() or 0.0):
                    self._ready.add(partition)
                self._on_answered(partition, next_offset)

        return acknowledged
