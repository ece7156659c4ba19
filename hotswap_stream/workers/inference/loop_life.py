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
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from hotswap_stream.workers.inference.answer_sender import AnswerSender
from hotswap_stream.workers.inference.answers import AnswerWriter
from hotswap_stream.workers.inference.batches import Batch
from hotswap_stream.workers.inference.callbacks import CallbackErrors
from hotswap_stream.workers.inference.checkpoint import resume_positions
from hotswap_stream.workers.inference.choosing import VersionChooser
from hotswap_stream.workers.inference.forward import run_forward
from hotswap_stream.workers.inference.life_clients import LifeClients, open_clients
from hotswap_stream.workers.inference.life_signs import LifeSigns
from hotswap_stream.workers.inference.quarantine import Quarantine
from hotswap_stream.workers.inference.records import records_of
from hotswap_stream.workers.inference.referee import Referee
from hotswap_stream.workers.inference.request_ids import RequestIds
from hotswap_stream.workers.inference.requests import Request, Unreadable, read_request
from hotswap_stream.workers.inference.served_partitions import ServedWatch
from hotswap_stream.workers.inference.stepping_over import UnreadablePartitions
from hotswap_stream.workers.inference.unreadable_batches import is_unreadable, reading_on
from hotswap_stream.workers.inference.waiting import Wait
from hotswap_stream.workers.inference.window_wiring import window_keeper

if TYPE_CHECKING:
    from hotswap_stream.workers.inference.model_loop import LoopParts

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1
COMMIT_SECONDS = 1.0
INLINE_MS_MAX = 2.0
"""A forward pass shorter than this is not worth a second thread."""
_SMOOTHING = 0.02


class LoopLife:
    """`run` it in a thread of its own, once."""

    def __init__(
        self,
        parts: "LoopParts",
        loop: asyncio.AbstractEventLoop,
        stopping: threading.Event,
        signs: LifeSigns,
        quarantine: Quarantine,
    ) -> None:
        self.answered_any = False
        self._parts = parts
        self._signs = signs
        self._quarantine = quarantine
        self._loop = loop
        self._stopping = stopping
        self._limits = parts.limits
        self._request_topic = parts.topics.requests(parts.model_name)
        self._response_topic = parts.topics.responses(parts.model_name)
        self._ids = RequestIds(parts.limits.request_id_window)
        self._chooser = VersionChooser(
            parts.model_name, parts.worker, parts.slots, parts.guard, self._ids, loop, parts.reply_topics
        )
        self._referee = Referee(parts.slots)
        self._tags = parts.answer_tags.of(parts.model_name)
        self._read_on = reading_on(parts.client_options)
        self._windows = window_keeper(parts, loop, self._read_on, stopping)
        self._writer = AnswerWriter(parts.model_name, parts.worker, self._tags)
        self._unreadable = UnreadablePartitions(parts.client_options, parts.model_name, self._request_topic)
        self._served = ServedWatch(
            signs,
            parts.model_name,
            request=self._request_topic,
            response=self._response_topic,
            windows=parts.topics.windows(parts.model_name),
        )
        self._compute = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"infer-{parts.model_name}")
        self._compute_ms = 0.0
        self._computing: tuple[Batch, Future[float]] | None = None
        self._entries: list[Request | Unreadable] = []
        """Taken and decoded, not yet given to a model."""
        self._assigned: dict[int, int] = {}
        """Partition → the offset its next request must have at least."""
        self._assignments = 0
        self._stalls = 0
        self._answered: dict[int, int] = {}
        """Partition → offset below which all is answered, not yet committed."""
        self._places: dict[int, int] = {}
        """Partition → offset below which all is answered."""
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
        parts = self._parts
        self._signs.turn()
        self._stalls = parts.stall_watch.stalls
        self._clients = open_clients(
            parts,
            self._stopping,
            self._windows,
            on_consumer_error=self._on_consumer_error,
            on_answered=self._on_answered,
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
                self._quarantine.life_ended(self._places, self._assigned, self._alone, error)
            raise
        finally:
            self._drop()
            self._compute.shutdown(wait=False)
            self._clients.close()

    # --- the pipeline ------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        if self._failed is not None:
            raise KafkaException(self._failed)
        self._signs.turn()
        self._sender.poll(0)
        self._commit_if_due()
        computing = self._computing
        if computing is not None:
            room = self._parts.batching().size_max - len(self._entries)
            if not self._wait_for_compute(0.001 if room > 0 else POLL_SECONDS) and room > 0:
                self._consume_more(room, 0)
            return
        if self._windows.active:
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
            self._take(messages)
        elif messages:
            for partition, offset in self._assigned.items():
                self._consumer.seek(TopicPartition(self._request_topic, partition, offset))

    def _take(self, messages: list[Message]) -> None:
        good: list[Message] = []
        unreadable: list[Message] = []
        for message in messages:
            error = message.error()
            if error is None:
                good.append(message)
            elif is_unreadable(error):
                unreadable.append(message)
            elif error.fatal() or not error.retriable():
                self._on_consumer_error(error)
        bytes_max, key_bytes_max = self._limits.request_bytes_max, self._limits.answer_key_bytes_max
        assigned = self._assigned
        for record in records_of(self._request_topic, good):
            if record.offset >= assigned.get(record.partition, 2**63):
                assigned[record.partition] = record.offset + 1
                self._entries.append(read_request(record, bytes_max, key_bytes_max))
        for message in unreadable:
            over = self._unreadable.step_over(message, assigned)
            if over is not None:
                assigned[over.partition] = over.next_offset
                self._entries.extend(over.entries)
                self._consumer.seek(TopicPartition(self._request_topic, over.partition, over.next_offset))

    def _start_batch(self) -> None:
        if not self._entries or not self._wait_for_version():
            return
        entries, self._entries = self._entries, []
        batch = self._make_batch(entries)
        if not batch.groups or self._compute_ms < INLINE_MS_MAX:
            self._answer_inline(batch)
        else:
            self._computing = batch, self._compute.submit(run_forward, batch.groups, self._referee)

    def _make_batch(self, entries: list[Request | Unreadable]) -> Batch:
        taken = self._windows.take(entries, self._parts.slots.window_rule)
        batch = self._chooser.make_batch(entries, taken)
        self._parts.on_computing()
        return batch

    def _answer_inline(self, batch: Batch) -> None:
        try:
            self._answer(batch, run_forward(batch.groups, self._referee))
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
            self._on_answered(record.partition, record.offset + 1)
            self._commit(asynchronous=False)
        else:
            self._answer_inline(self._make_batch([entry]))
            self._sender.flush()
        self._alone = None
        self._careful = self._quarantine.careful(self._places)

    def _wait_for_compute(self, seconds_max: float | None) -> bool:
        """Whether the forward pass in the other thread is over; if so its batch was answered."""
        if self._computing is None:
            return True
        batch, future = self._computing
        try:
            compute_ms = future.result(seconds_max)
        except FutureTimeoutError:
            return False
        self._computing = None
        try:
            self._answer(batch, compute_ms)
        finally:
            self._chooser.release(batch)
        return True

    def _answer(self, batch: Batch, compute_ms: float) -> None:
        if batch.groups:
            # Down at once, up slowly: what others do on this machine makes passes longer, never shorter.
            slower = self._compute_ms + _SMOOTHING * (compute_ms - self._compute_ms)
            self._compute_ms = min(compute_ms, slower if self._compute_ms else compute_ms)
        stalls = self._parts.stall_watch.stalls
        if stalls != self._stalls:
            self._stalls = stalls
            _log.warning("batch_dropped_after_stall", model_name=self._parts.model_name, requests=len(batch.entries))
            self._start_over()
            return
        self._sender.send(self._writer.write(batch))
        self._parts.on_answered(batch)

    def _wait_for_version(self) -> bool:
        """False if the requests were dropped while there was no version to answer them."""
        slots = self._parts.slots
        if slots.serving is not None or slots.refused is not None:
            return True
        # Perhaps the first promotion was answered to its sender, but not yet read here; or it is being loaded.
        decided = asyncio.run_coroutine_threadsafe(self._parts.version_decided(), self._loop)
        partitions = [TopicPartition(self._request_topic, partition) for partition in self._assigned]
        assignments = self._assignments
        self._consumer.pause(partitions)
        while not decided.done() and not self._stopping.is_set():
            self._signs.rest()
            self._consume_one(0.02)
            if assignments != self._assignments:
                decided.cancel()
                return False
        if not decided.done():
            decided.cancel()
            return False
        decided.result()
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
        positions = self._positions(consumer, self._served.look(consumer, self._given))
        self._assigned = positions
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
            response_topic=self._response_topic,
            partitions=partitions,
            tags=self._tags,
            read_on=self._read_on,
            stopping=self._stopping,
        )
        self._windows.load(found)
        self._places = dict(found)
        self._careful = self._quarantine.careful(found)
        return found

    def _settle(self) -> None:
        """Answer what is being computed, wait until it is in the topic, commit."""
        wait = Wait(self._stopping, "a forward pass does not end", seconds_max=math.inf)
        while not self._wait_for_compute(POLL_SECONDS):
            wait.check()
        self._sender.flush()
        self._windows.flush()
        self._commit(asynchronous=False)

    def _drop(self) -> None:
        """Forget everything that was taken and not answered."""
        self._assignments += 1
        self._assigned = {}
        self._places = {}
        self._alone = None
        self._unreadable.clear()
        self._entries.clear()
        self._answered.clear()
        self._ids.forget()
        self._windows.leave()
        if self._computing is not None:
            batch, future = self._computing
            self._computing = None
            if self._stopping.is_set():
                future.add_done_callback(lambda _future: self._chooser.release(batch))
            else:
                future.exception()
                self._chooser.release(batch)

    def _start_over(self) -> None:
        """Drop what is in the pipeline and go on behind the last answers."""
        partitions = list(self._assigned)
        self._drop()
        self._assigned = self._positions(self._consumer, partitions)
        for partition, offset in self._assigned.items():
            self._consumer.seek(TopicPartition(self._request_topic, partition, offset))

    def _on_consumer_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._failed = error
        else:
            _log.warning("consumer_error", model_name=self._parts.model_name, error=str(error))

    def _on_answered(self, partition: int, next_offset: int) -> None:
        self._answered[partition] = self._places[partition] = next_offset
        self.answered_any = True

    def _look(self) -> None:
        """For health: how far the partitions are, and how far they go, as far as the client knows by its fetches."""
        ends: dict[int, int] = {}
        for partition in self._places:
            known = self._consumer.get_watermark_offsets(TopicPartition(self._request_topic, partition), cached=True)
            if known is not None:
                ends[partition] = known[1]
        self._signs.look(self._places, ends, self._unreadable.blocked)

    # --- commits: for lag, and as the second half of the checkpoint --------------------------------------------------

    def _commit_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_commit:
            self._next_commit = now + COMMIT_SECONDS
            stuck = self._sender.in_flight > 0 and not self._answered
            self._clients.replies.poll()
            self._commit(asynchronous=True)
            self._look()
            if self._served.changed(self._consumer, self._given, doubtful=stuck):
                if stuck:  # no answer is taken any more
                    raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, self._signs.advice or ""))
                self._settle()
                self._begin(self._consumer)

    def _commit(self, *, asynchronous: bool) -> None:
        offsets = [
            TopicPartition(self._request_topic, partition, offset)
            for partition, offset in self._answered.items()
            if partition in self._assigned
        ]
        self._answered.clear()
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=asynchronous)  # type: ignore[call-overload]
        except KafkaException as error:
            # The answers themselves say where to go on; the commit only helps.
            _log.debug("commit_failed", model_name=self._parts.model_name, error=str(error))
