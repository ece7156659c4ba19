"""One life of a model's loop: a consumer, a producer, and the thread that drives them.

librdkafka fetches ahead and sends behind in threads of its own. Where a forward pass takes long it runs in a second
thread, while this one reads and decodes the next batch. Between fetch and send requests may lose their right to be
answered here: their partitions were revoked, or the process stood still. Then they are dropped, and whoever has the
partition goes on behind its last answer.
"""

import asyncio
import math
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from hotswap_stream.kafka.callbacks import CallbackErrors
from hotswap_stream.kafka.librdkafka import is_fatal
from hotswap_stream.kafka.unreadable_batches import reading_on
from hotswap_stream.workers.inference.answers.sender import AnswerSender
from hotswap_stream.workers.inference.batches.batches import Batch
from hotswap_stream.workers.inference.batches.referee import Referee
from hotswap_stream.workers.inference.batches.version_choice import VersionChooser
from hotswap_stream.workers.inference.loop.answered_places import AnsweredPlaces
from hotswap_stream.workers.inference.loop.checkpoint import resume_positions
from hotswap_stream.workers.inference.loop.clients import LifeClients, open_clients
from hotswap_stream.workers.inference.loop.computing import Computing
from hotswap_stream.workers.inference.loop.first_version import first_version_decided
from hotswap_stream.workers.inference.loop.served_partitions import ServedWatch
from hotswap_stream.workers.inference.loop.taking import Taking
from hotswap_stream.workers.inference.loop.waiting_requests import nothing_waits
from hotswap_stream.workers.inference.loop.window_wiring import window_keeper
from hotswap_stream.workers.inference.requests.ids import RequestIds
from hotswap_stream.workers.inference.requests.quarantine import Quarantine
from hotswap_stream.workers.inference.requests.requests import Request, Unreadable
from hotswap_stream.workers.inference.waiting import Wait

if TYPE_CHECKING:
    from hotswap_stream.workers.inference.loop.parts import LoopParts

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1
COMMIT_SECONDS = 1.0


class LoopLife:
    """`run` it in a thread of its own, once."""

    def __init__(
        self, parts: "LoopParts", loop: asyncio.AbstractEventLoop, stopping: threading.Event, quarantine: Quarantine
    ) -> None:
        self._parts = parts
        self._signs = parts.signs
        self._quarantine = quarantine
        self._loop = loop
        self._stopping = stopping
        self._request_topic = parts.topics.requests(parts.model_name)
        self._ids = RequestIds(parts.limits.request_id_window)
        self._chooser = VersionChooser(
            parts.model_name, parts.worker, parts.slots, parts.guard, self._ids, loop, parts.reply_topics
        )
        self._tags = parts.answer_tags.of(parts.model_name)
        self._read_on = reading_on(parts.client_options)
        self._nothing_waits = partial(nothing_waits, parts.librdkafka_options, parts.worker, self._request_topic)
        self._windows = window_keeper(parts, loop, self._read_on, stopping)
        self._taking = Taking(parts, self._on_consumer_error)
        self._served = ServedWatch(parts)
        self._computing = Computing(parts.model_name, Referee(parts.slots), self._chooser.release)
        self.answered = AnsweredPlaces(parts.model_name, self._request_topic)
        self._entries: list[Request | Unreadable] = []
        """Taken and decoded, not yet given to a model."""
        self._assigned: dict[int, int] = {}
        """Partition → the offset its next request must have at least."""
        self._assignments = 0
        self._stalls = 0
        self._given: list[int] = []
        """Partitions of this worker, whether it can serve them or not."""
        self._careful = False
        """Whether requests are taken one at a time: see `Quarantine`."""
        self._alone: tuple[int, int] | None = None
        """Partition and offset of the request that is being answered, while there is but one."""
        self._next_commit = 0.0
        self._failed: KafkaError | None = None
        self._callbacks = CallbackErrors()
        self._clients: LifeClients
        self._consumer: Consumer
        self._sender: AnswerSender

    def run(self) -> None:
        """Take and answer requests until asked to stop. Raises what this life cannot go on after."""
        self._signs.turn()
        self._stalls = self._parts.stall_watch.stalls
        self._clients = open_clients(
            self._parts,
            self._stopping,
            self._windows,
            on_consumer_error=self._on_consumer_error,
            on_answered=self.answered.answered,
        )
        self._consumer, self._sender = self._clients.consumer, self._clients.sender
        try:
            guarded = self._callbacks.guarded
            self._consumer.subscribe(
                [self._request_topic],
                on_assign=guarded(self._on_assign),
                on_revoke=guarded(self._on_revoke),
                on_lost=guarded(self._on_lost),
            )
            while not self._stopping.is_set():
                self._turn()
            self._settle()
        except Exception as error:
            if not self._stopping.is_set():
                self._quarantine.life_ended(self.answered.places, self._assigned, self._alone, error)
            raise
        finally:
            self._drop()
            self._computing.close()
            self._clients.close()

    # --- the pipeline ------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        if self._failed is not None:
            raise KafkaException(self._failed)
        self._signs.turn()
        self._sender.poll(0)
        self._commit_if_due()
        if self._computing.busy:
            room = self._parts.batching().size_max - len(self._entries)
            if not self._wait_for_compute(0.001 if room > 0 else POLL_SECONDS) and room > 0:
                self._consume_more(room, 0)
            return
        self._windows.flush_if_due()  # here, because all that was taken was answered
        if not self._entries:
            self._consume_one(POLL_SECONDS)
            if not self._entries:
                return
        if self._careful:
            self._answer_alone()
            return
        batching = self._parts.batching()
        room = batching.size_max - len(self._entries)
        if room > 0:
            self._consume_more(room, batching.wait_ms_max / 1000)
        self._start_batch()

    def _consume_one(self, seconds_max: float) -> None:
        assignments = self._assignments
        message = self._consumer.poll(seconds_max)
        self._take_if_current([] if message is None else [message], assignments)

    def _consume_more(self, room: int, seconds_max: float) -> None:
        assignments = self._assignments
        self._take_if_current(self._consumer.consume(room, seconds_max), assignments)

    def _take_if_current(self, messages: list[Message], assignments: int) -> None:
        """A rebalance inside the call may have mixed messages of two assignments: then all are read again."""
        self._callbacks.check()
        if assignments == self._assignments:
            self._entries.extend(self._taking.take(self._consumer, messages, self._assigned))
        elif messages:
            for partition, offset in self._assigned.items():
                self._consumer.seek(TopicPartition(self._request_topic, partition, offset))

    def _start_batch(self) -> None:
        if not self._entries or not self._wait_for_version():
            return
        entries, self._entries = self._entries, []
        batch = self._make_batch(entries)
        if not batch.groups or self._computing.quick:
            self._answer_inline(batch)
        else:
            self._computing.start(batch)

    def _make_batch(self, entries: list[Request | Unreadable]) -> Batch:
        taken = self._windows.take(entries, self._parts.slots.window_rule)
        batch = self._chooser.make_batch(entries, taken)
        self._parts.on_computing()
        return batch

    def _answer_inline(self, batch: Batch) -> None:
        try:
            self._answer(batch, self._computing.now(batch))
        finally:
            self._chooser.release(batch)

    def _answer_alone(self) -> None:
        """Answer one request, and return when the answer is in its topic. One that ended lives gets an error, or, if
        that ended some, too, none."""
        if not self._wait_for_version():
            return
        record = self._entries[0].record
        self._alone = record.partition, record.offset
        entry = self._quarantine.admit(self._entries.pop(0))
        if entry is None:
            self._clients.letters.send(record, self._quarantine.cause(*self._alone))
            self._clients.letters.flush()
            self.answered.answered(record.partition, record.offset + 1)
            self.answered.commit(self._consumer, self._assigned, asynchronous=False)
        else:
            self._answer_inline(self._make_batch([entry]))
            self._sender.flush()
        self._alone = None
        self._careful = self._quarantine.careful(self.answered.places)

    def _wait_for_compute(self, seconds_max: float) -> bool:
        """Whether the forward pass in the other thread is over; if so its batch was answered."""
        computed = self._computing.wait(seconds_max)
        if computed is None:
            return not self._computing.busy
        try:
            self._answer(*computed)
        finally:
            self._chooser.release(computed[0])
        return True

    def _answer(self, batch: Batch, compute_ms: float) -> None:
        if batch.groups:
            self._computing.took(compute_ms)
        stalls = self._parts.stall_watch.stalls
        if stalls != self._stalls:
            self._stalls = stalls
            _log.warning("batch_dropped_after_stall", model_name=self._parts.model_name, requests=len(batch.entries))
            self._start_over()
            return
        self._sender.send(self._sender.writer.write(batch))
        self._parts.on_answered(batch)

    def _wait_for_version(self) -> bool:
        """False if the requests were dropped while there was no version to answer them."""
        slots = self._parts.slots
        if slots.current is not None or slots.refused is not None:
            return True
        partitions = [TopicPartition(self._request_topic, partition) for partition in self._assigned]
        assignments = self._assignments

        def turn() -> bool:
            self._signs.rest()
            self._consume_one(0.02)
            return assignments == self._assignments

        self._consumer.pause(partitions)
        if not first_version_decided(self._parts, self._loop, self._stopping, turn):
            return False
        self._consumer.resume(partitions)
        return bool(self._entries)

    # --- the group ---------------------------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Go on behind the last answer of each partition."""
        self._given = [partition.partition for partition in partitions]
        self._begin(consumer)

    def _begin(self, consumer: Consumer) -> None:
        """Serve, of the partitions that were given to this worker, those that can be."""
        self._drop()
        self._stalls = self._parts.stall_watch.stalls
        self._assigned = positions = self._positions(consumer, self._served.look(consumer, self._given))
        consumer.assign([TopicPartition(self._request_topic, *position) for position in positions.items()])
        numbers = tuple(sorted(positions))
        _log.info("partitions_assigned", model_name=self._parts.model_name, partitions=numbers)
        self._loop.call_soon_threadsafe(self._parts.on_partitions, numbers)

    def _on_revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """Before a rebalance: let what is being computed be answered, then commit."""
        self._given = []
        if self._failed is None:
            self._settle()
        self._drop()

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Somebody else has the partitions already."""
        self._given = []
        _log.warning("partitions_lost", model_name=self._parts.model_name, partitions=len(partitions))
        self._drop()

    def _positions(self, consumer: Consumer, partitions: Sequence[int]) -> dict[int, int]:
        found = resume_positions(
            self._parts.librdkafka_options,
            self._parts.worker,
            consumer,
            request_topic=self._request_topic,
            response_topic=self._parts.topics.responses(self._parts.model_name),
            partitions=partitions,
            tags=self._tags,
            read_on=self._read_on,
            stopping=self._stopping,
        )
        self._windows.load(found)
        self.answered.begin(found)
        self._careful = self._quarantine.careful(found)
        return found

    def _settle(self) -> None:
        """Answer what is being computed, wait until it is in the topic, commit."""
        wait = Wait(self._stopping, "a forward pass does not end", seconds_max=math.inf)
        while not self._wait_for_compute(POLL_SECONDS):
            wait.check()
        self._sender.flush()
        self._windows.flush()
        self.answered.commit(self._consumer, self._assigned, asynchronous=False)

    def _drop(self) -> None:
        """Forget everything that was taken and not answered."""
        self._assignments += 1
        self._assigned = {}
        self._alone = None
        self._taking.clear()
        self._entries.clear()
        self.answered.clear()
        self._ids.forget()
        self._windows.leave()
        self._computing.abandon(wait=not self._stopping.is_set())

    def _start_over(self) -> None:
        """Drop what is in the pipeline and go on behind the last answers."""
        partitions = list(self._assigned)
        self._drop()
        self._assigned = self._positions(self._consumer, partitions)
        for partition, offset in self._assigned.items():
            self._consumer.seek(TopicPartition(self._request_topic, partition, offset))

    def _check_consumer(self) -> None:
        """Raise KafkaException when requests have waited for long and the consumer brings none of them."""
        if self._entries or self._computing.busy or self._sender.in_flight:
            return
        silent = self._signs.silent(self.answered.began_s, self._taking.blocked)
        if silent:
            reason = f"requests wait in partitions {silent} and the consumer brings none of them"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason))

    def _on_consumer_error(self, error: KafkaError) -> None:
        if is_fatal(error):
            _log.error("consumer_failed", model_name=self._parts.model_name, error=str(error))
            self._failed = error
        else:
            _log.warning("consumer_error", model_name=self._parts.model_name, error=str(error))

    # --- commits: for lag, and as the second half of the checkpoint --------------------------------------------------

    def _commit_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_commit:
            self._next_commit = now + COMMIT_SECONDS
            stuck = self._sender.in_flight > 0 and self.answered.quiet
            self._clients.replies.poll()
            self.answered.commit(self._consumer, self._assigned, asynchronous=True)
            self.answered.tell(self._consumer, self._signs, self._taking.blocked, self._nothing_waits)
            self._check_consumer()
            if self._served.changed(self._consumer, self._given, doubtful=stuck):
                if stuck:  # no answer is taken any more
                    raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, self._signs.advice or ""))
                self._settle()
                self._begin(self._consumer)
