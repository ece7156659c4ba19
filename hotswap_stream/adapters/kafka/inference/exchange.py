"""Requests to one model and its answers, in a few partitions of its topics."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from hotswap_events.inference.answers import AnswerRule, ModelTags, read_answer
from hotswap_stream.adapters.kafka.inference.correlation import PartitionCorrelation, RawAnswer, Waiter
from hotswap_stream.adapters.kafka.inference.pace import AnswerPace
from hotswap_stream.adapters.kafka.inference.sender import BATCH_BYTES_MAX, CLOSED, RECORD_BYTES_MAX, RequestSender
from hotswap_stream.application.inference.gateway import InferenceUnavailableError, ModelOverloadedError
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.producer_stop import stop_producer

_log = structlog.get_logger(__name__)

POLL_MS = 500
FLUSH_SECONDS_MAX = 1.0
"""How long a batch on its way may hold up the end; without a broker it would do so for ever."""


class ModelExchange:
    """Sends to the given partitions, and reads the answers in those partitions only, from the time of `start` on."""

    def __init__(
        self,
        client_options: Mapping[str, Any],
        *,
        request_topic: str,
        response_topic: str,
        partitions: Sequence[int],
        tags: ModelTags,
    ) -> None:
        self.partitions = tuple(partitions)
        self._request_topic = request_topic
        self._response_topic = response_topic
        self._correlations = {partition: PartitionCorrelation(AnswerRule(partition, tags)) for partition in partitions}
        self._paces = {partition: AnswerPace() for partition in partitions}
        self._paused: set[int] = set()
        # A producer of its own: a producer that failed stays so, and then only this model needs another.
        self._producer = clients.producer(
            **client_options,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=RECORD_BYTES_MAX,
        )
        self._senders = {
            partition: RequestSender(
                self._producer,
                request_topic,
                partition,
                self._correlations[partition],
                self._paces[partition],
                on_settled=self._settled,
                on_error=self._notice,
            )
            for partition in partitions
        }
        self._consumer = clients.consumer(**client_options, group_id=None, auto_offset_reset="latest")
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: Exception | None = None
        self._told_of_untagged = False
        self._next = 0
        self._filling: RequestSender | None = None
        """Chosen last, for whoever follows at once."""

    @property
    def failed(self) -> bool:
        """Return whether no answer can come any more, so that another exchange is needed."""
        return self._failure is not None

    @property
    def untagged(self) -> int:
        """Return how many records, so far, named a request and did not prove that a worker wrote them."""
        return sum(correlation.rule.untagged for correlation in self._correlations.values())

    @property
    def in_flight(self) -> int:
        """Return how many requests wait for an acknowledgement or an answer."""
        return sum(sender.in_flight for sender in self._senders.values())

    @property
    def unconfirmed_s(self) -> float:
        """Return how long a batch has waited to be acknowledged, in the partition where that is longest, in seconds."""
        return max(sender.unconfirmed_s for sender in self._senders.values())

    async def start(self) -> None:
        """Return once every later answer will be read. KafkaError."""
        try:
            await self._producer.start()
            await self._consumer.start()
            wanted = [TopicPartition(self._response_topic, partition) for partition in self.partitions]
            self._consumer.assign(wanted)
            for partition, offset in (await self._consumer.end_offsets(wanted)).items():
                self._consumer.seek(partition, offset)
        except BaseException:
            await self._stop_clients()
            raise
        self._tasks = [asyncio.create_task(self._read(), name=f"answers-{self._response_topic}")]
        self._tasks += [
            asyncio.create_task(sender.run(), name=f"requests-{self._request_topic}-{partition}")
            for partition, sender in self._senders.items()
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Disconnect. Whoever still waits gets an InferenceUnavailableError."""
        self._fail(CLOSED)
        self._paused.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stop_clients()

    async def _stop_clients(self) -> None:
        try:
            await end_consumer(self._consumer)
        finally:
            await stop_producer(self._producer, flush_seconds_max=FLUSH_SECONDS_MAX)

    async def ask(
        self,
        value: bytes,
        headers: Sequence[tuple[str, bytes]],
        partition: int | None,
        *,
        wait_s_max: float | None = None,
        movable: bool = True,
    ) -> RawAnswer:
        """Send one request and wait for its answer, however long.

        KafkaError, InferenceUnavailableError; ModelOverloadedError where it would likely wait more than `wait_s_max`.
        """
        waiter, correlation = self._send(value, headers, partition, wait_s_max, movable)
        try:
            return await waiter
        finally:
            waiter.cancel()
            correlation.forget(waiter)

    def send(
        self,
        value: bytes,
        headers: Sequence[tuple[str, bytes]],
        partition: int | None = None,
        *,
        wait_s_max: float | None = None,
        movable: bool = True,
    ) -> Waiter:
        """Like `ask`, without a task for each request: a future of the answer. Cancel it to wait no more.

        `movable`: where too many requests wait in the partition, another one will do.
        """
        waiter, correlation = self._send(value, headers, partition, wait_s_max, movable)
        waiter.add_done_callback(correlation.forget)
        return waiter

    def _send(
        self,
        value: bytes,
        headers: Sequence[tuple[str, bytes]],
        partition: int | None,
        wait_s_max: float | None,
        movable: bool,
    ) -> tuple[Waiter, PartitionCorrelation]:
        if self._failure is not None:
            raise self._failure
        sender = self._quietest() if partition is None else self._senders[partition]
        if wait_s_max is not None:
            sender = self._admit(sender, wait_s_max, movable)
        waiter: Waiter = asyncio.get_running_loop().create_future()
        sender.send(value, headers, waiter)
        return waiter, self._correlations[sender.partition]

    def wait_s(self) -> float:
        """Return how long, in seconds, a request sent now is likely to wait in the best of the partitions."""
        now_s = time.monotonic()
        return min(pace.wait_s(now_s) for pace in self._paces.values())

    def _admit(self, sender: RequestSender, wait_s_max: float, movable: bool) -> RequestSender:
        """Return where to send. ModelOverloadedError if too many requests wait everywhere.

        Where no answers come at all and nobody waits, one request at a time goes through: it finds out whether the
        worker is back.
        """
        now_s = time.monotonic()
        if self._paces[sender.partition].wait_s(now_s) <= wait_s_max:
            return sender
        candidates = self._paces if movable else {sender.partition: self._paces[sender.partition]}
        best, pace = min(candidates.items(), key=lambda item: item[1].wait_s(now_s))
        wait_s = pace.wait_s(now_s)
        if wait_s <= wait_s_max or not (self.in_flight or pace.moving(now_s)):
            return self._senders[best]
        raise ModelOverloadedError(
            f"{sum(each.lag for each in candidates.values())} requests lie before this one, and it would wait about "
            f"{wait_s:.1f} s; more than {wait_s_max:g} s is too much",
            retry_after_s=wait_s - wait_s_max,
        )

    def _quietest(self) -> RequestSender:
        """Return the sender with the fewest requests in flight; in turn where several have as few.

        What comes in the same turn of the event loop goes into one batch: a batch costs all on its way more than a
        request in it.
        """
        if self._filling is not None and self._filling.fills:
            return self._filling
        count = len(self.partitions)
        self._next = (self._next + 1) % count
        best = self._senders[self.partitions[self._next]]
        fewest = best.in_flight
        for step in range(1, count):
            if not fewest:
                break
            sender = self._senders[self.partitions[(self._next + step) % count]]
            if sender.in_flight < fewest:
                best, fewest = sender, sender.in_flight
        self._filling = best
        return best

    def _settled(self, partition: int) -> None:
        if self._failure is not None:  # it came while the batch was on its way
            self._correlations[partition].fail(self._failure)
        if partition in self._paused and not self._correlations[partition].full:
            self._paused.discard(partition)
            self._consumer.resume(TopicPartition(self._response_topic, partition))

    def _notice(self, error: BaseException) -> None:
        """End the exchange for an error that does not pass by itself and is not this one request's fault."""
        if isinstance(error, KafkaError) and not error.retriable and not isinstance(error, MessageSizeTooLargeError):
            _log.warning("requests_unsendable", topic=self._request_topic, error=repr(error))
            self._fail(InferenceUnavailableError(f"requests cannot be sent to {self._request_topic}: {error!r}"))

    async def _read(self) -> None:
        try:
            while True:
                for partition, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
                    correlation = self._correlations[partition.partition]
                    for record in records:
                        answer = _raw_answer(record)
                        if answer is not None:
                            correlation.answered(answer)
                    if correlation.rule.untagged and not self._told_of_untagged:
                        self._told_of_untagged = True
                        _log.warning(
                            "answers_of_others_ignored",
                            topic=partition.topic,
                            partition=partition.partition,
                            meaning="they carry no tag by the key of HOTSWAP_ANSWERS_KEY here",
                        )
                    self._paces[partition.partition].answered(correlation.highest, time.monotonic())
                    if correlation.full:
                        self._paused.add(partition.partition)
                        self._consumer.pause(partition)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            _log.warning("answers_unreadable", topic=self._response_topic, error=repr(error))
            self._fail(InferenceUnavailableError(f"answers cannot be read from {self._response_topic}: {error!r}"))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Fail after a task ended by itself: nothing is sent or read there any more, so another exchange is needed."""
        if task.cancelled() or self._failure is not None:
            return
        error = task.exception()
        _log.error("exchange_task_ended", topic=self._request_topic, task=task.get_name(), exc_info=error)
        self._fail(InferenceUnavailableError(f"{task.get_name()} ended: {error!r}"))

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        for correlation in self._correlations.values():
            correlation.fail(error)
        for sender in self._senders.values():
            sender.fail(error)


def _raw_answer(record: "ConsumerRecord[Any, Any]") -> RawAnswer | None:
    """Return the answer in a record; None for a record that is none."""
    found = read_answer(record.headers)
    if found is None or record.value is None:
        return None
    return RawAnswer(
        partition=record.partition,
        offset=record.offset,
        request_offset=found.request_offset,
        value=record.value,
        raw=found.raw,
        ok=found.ok,
        tag=found.tag,
    )
