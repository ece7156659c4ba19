"""Requests to one model and its answers, in a few partitions of its topics."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from hotswap_events import headers as header_names
from hotswap_events.inference import MSGPACK_CONTENT_TYPE
from hotswap_stream.adapters.kafka.answer_correlation import PartitionCorrelation, RawAnswer, Waiter
from hotswap_stream.application.inference_gateway import InferenceUnavailableError

_log = structlog.get_logger(__name__)

POLL_MS = 500
RECORD_BYTES_MAX = 8 * 1_048_576

_CLOSED = InferenceUnavailableError("the connection to the model's topics was closed")


class ModelExchange:
    """Sends to the given partitions, and reads the answers in those partitions only, from the time of `start` on."""

    def __init__(
        self,
        client_options: Mapping[str, Any],
        *,
        request_topic: str,
        response_topic: str,
        partitions: Sequence[int],
    ) -> None:
        self.partitions = tuple(partitions)
        self._request_topic = request_topic
        self._response_topic = response_topic
        self._correlations = {partition: PartitionCorrelation() for partition in partitions}
        self._paused: set[int] = set()
        # A producer of its own: a producer that failed stays so, and then only this model needs another.
        self._producer = AIOKafkaProducer(
            **client_options, acks="all", enable_idempotence=True, linger_ms=0, max_request_size=RECORD_BYTES_MAX
        )
        self._consumer = AIOKafkaConsumer(
            **client_options, group_id=None, enable_auto_commit=False, auto_offset_reset="latest"
        )
        self._reader: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        self._next = 0

    @property
    def failed(self) -> bool:
        """Whether no answer can come any more, so that another exchange is needed."""
        return self._failure is not None

    @property
    def in_flight(self) -> int:
        """Requests that wait for an acknowledgement or an answer."""
        return sum(correlation.in_flight for correlation in self._correlations.values())

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
        self._reader = asyncio.create_task(self._read(), name=f"answers-{self._response_topic}")

    async def stop(self) -> None:
        """Whoever still waits gets an InferenceUnavailableError."""
        self._fail(_CLOSED)
        self._paused.clear()
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        await self._stop_clients()

    async def _stop_clients(self) -> None:
        try:
            await self._consumer.stop()
        finally:
            await self._producer.stop()

    async def ask(self, value: bytes, headers: Sequence[tuple[str, bytes]], partition: int | None) -> RawAnswer:
        """Send one request and wait for its answer, however long. KafkaError, InferenceUnavailableError."""
        if self._failure is not None:
            raise self._failure
        chosen = self._quietest() if partition is None else partition
        correlation = self._correlations[chosen]
        waiter: Waiter = asyncio.get_running_loop().create_future()
        correlation.sending()
        try:
            sent = await self._producer.send(self._request_topic, value, partition=chosen, headers=list(headers))
        except BaseException as error:
            correlation.not_sent()
            self._notice(error)
            raise
        # A callback, not an await: the acknowledgement counts also when nobody waits for the answer any more.
        sent.add_done_callback(lambda done: self._acknowledge(chosen, done, waiter))
        try:
            return await waiter
        finally:
            waiter.cancel()
            correlation.forget(waiter)

    def _quietest(self) -> int:
        """The partition with the fewest requests in flight, in turn where several have as few."""
        count = len(self.partitions)
        self._next = (self._next + 1) % count
        turns = (self.partitions[(self._next + step) % count] for step in range(count))
        return min(turns, key=lambda partition: self._correlations[partition].in_flight)

    def _acknowledge(self, partition: int, sent: "asyncio.Future[Any]", waiter: Waiter) -> None:
        correlation = self._correlations[partition]
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is None:
            correlation.acknowledged(sent.result().offset, waiter)
        else:
            correlation.not_sent()
            self._notice(error)
        if not waiter.done() and (error is not None or self._failure is not None):
            waiter.set_exception(error if isinstance(error, Exception) else self._failure or _CLOSED)
        if partition in self._paused and not correlation.full:
            self._paused.discard(partition)
            self._consumer.resume(TopicPartition(self._response_topic, partition))

    def _notice(self, error: BaseException) -> None:
        """What does not pass by itself, and is not this one request's fault, ends the exchange."""
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
                    if correlation.full:
                        self._paused.add(partition.partition)
                        self._consumer.pause(partition)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            _log.warning("answers_unreadable", topic=self._response_topic, error=repr(error))
            self._fail(InferenceUnavailableError(f"answers cannot be read from {self._response_topic}: {error!r}"))

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        for correlation in self._correlations.values():
            correlation.fail(error)


def _raw_answer(record: "ConsumerRecord[Any, Any]") -> RawAnswer | None:
    """None for a record that is no answer."""
    headers = dict(record.headers)
    request_offset = headers.get(header_names.REQUEST_OFFSET)
    if record.value is None or request_offset is None or not request_offset.isdigit():
        return None
    return RawAnswer(
        partition=record.partition,
        offset=record.offset,
        request_offset=int(request_offset),
        value=record.value,
        raw=headers.get(header_names.CONTENT_TYPE) == MSGPACK_CONTENT_TYPE.encode(),
        ok=headers.get(header_names.STATUS) == b"ok",
    )
