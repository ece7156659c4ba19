"""The registry log on Kafka: one partition, one record batch a decision."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OffsetOutOfRangeError

from hotswap_events.envelope import CONTENT_TYPE
from hotswap_stream.adapters.kafka.connection import KafkaConnection
from hotswap_stream.application.registry_log import LogRecord
from hotswap_stream.errors import AppendOutcomeUnknownError, DecisionTooLargeError, LogUnavailableError

BATCH_BYTES_MAX = 1_000_000
APPEND_SECONDS_MAX = 20.0
_FOLLOW_POLL_MS = 1_000
_HEADERS = [("content-type", CONTENT_TYPE.encode())]


class KafkaRegistryLog:
    """`RegistryLog` on one partition of a Kafka topic. Use from the event loop it was started in."""

    def __init__(self, connection: KafkaConnection, topic: str) -> None:
        self._connection = connection
        self._partition = TopicPartition(topic, 0)
        self._producer: AIOKafkaProducer | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._reader_lock = asyncio.Lock()
        self._followers: set[AIOKafkaConsumer] = set()
        self._stopped = False

    async def start(self) -> None:
        """Connect producer and reader."""
        self._stopped = False
        try:
            self._reader = await self._consumer()
            self._producer = await self._new_producer()
        except (KafkaError, OSError) as error:
            await self.stop()
            raise LogUnavailableError(
                f"Kafka at {self._connection.bootstrap_servers} cannot be reached: {error!r}"
            ) from error

    async def stop(self) -> None:
        """Disconnect; ends every `follow`."""
        self._stopped = True
        for consumer in (*self._followers, self._reader):
            if consumer is not None:
                await consumer.stop()
        self._followers.clear()
        self._reader = None
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError):
                await producer.stop()

    async def append(self, key: bytes, values: Sequence[bytes]) -> int:
        """One record batch; the first record's offset."""
        if self._producer is None:
            raise LogUnavailableError("the log is not started")
        producer = self._producer
        batch = producer.create_batch()
        for value in values:
            if batch.append(key=key, value=value, timestamp=None, headers=_HEADERS) is None:
                raise DecisionTooLargeError(
                    f"{sum(map(len, values))} bytes of events do not fit into one batch of {BATCH_BYTES_MAX} bytes"
                )
        batch.close()
        try:
            async with asyncio.timeout(APPEND_SECONDS_MAX):
                sent = await producer.send_batch(batch, self._partition.topic, partition=self._partition.partition)
                metadata = await asyncio.shield(sent)
        except MessageSizeTooLargeError as error:
            raise DecisionTooLargeError(f"the broker refused a batch of {sum(map(len, values))} bytes") from error
        except (KafkaError, TimeoutError) as error:
            # An idempotent producer that failed cannot be trusted with its sequence numbers: use a fresh one.
            self._producer = None
            with suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(APPEND_SECONDS_MAX):
                    await producer.stop()
            with suppress(KafkaError, OSError):
                self._producer = await self._new_producer()
            raise AppendOutcomeUnknownError(f"the log did not confirm the append: {error!r}") from error
        return int(metadata.offset)

    async def end_offset(self) -> int:
        """The offset that the next record will get."""
        reader = self._started_reader()
        try:
            return int((await reader.end_offsets([self._partition]))[self._partition])
        except KafkaError as error:
            raise LogUnavailableError(f"the log's end could not be asked: {error!r}") from error

    async def offset_at(self, timestamp_ms: int) -> int:
        """The first offset appended after `timestamp_ms`."""
        reader = self._started_reader()
        try:
            found = (await reader.offsets_for_times({self._partition: timestamp_ms + 1}))[self._partition]
        except KafkaError as error:
            raise LogUnavailableError(f"the log could not be asked for a time: {error!r}") from error
        return await self.end_offset() if found is None else int(found.offset)

    async def read(self, start_offset: int, end_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Pages of records; one `read` at a time, others wait."""
        reader = self._started_reader()
        end = min(end_offset, await self.end_offset())
        position = max(0, start_offset)
        while position < end:
            async with self._reader_lock:
                try:
                    reader.seek(self._partition, position)
                    fetched = (await reader.getmany(self._partition, timeout_ms=_FOLLOW_POLL_MS)).get(self._partition)
                except KafkaError as error:
                    raise self._unreadable(error, position) from error
            page = [_record(record) for record in fetched or () if position <= record.offset < end]
            if fetched:
                position = fetched[-1].offset + 1
            if page:
                yield page

    async def follow(self, start_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Pages of records as they come, by a consumer of its own."""
        consumer = await self._consumer()
        self._followers.add(consumer)
        try:
            consumer.seek(self._partition, start_offset)
            while not self._stopped:
                try:
                    fetched = (await consumer.getmany(timeout_ms=_FOLLOW_POLL_MS)).get(self._partition)
                except KafkaError as error:
                    if error.retriable:
                        continue
                    raise self._unreadable(error, await consumer.position(self._partition)) from error
                if fetched:
                    yield [_record(record) for record in fetched]
        finally:
            self._followers.discard(consumer)
            await consumer.stop()

    def _started_reader(self) -> AIOKafkaConsumer:
        if self._reader is None:
            raise LogUnavailableError("the log is not started")
        return self._reader

    def _unreadable(self, error: KafkaError, position: int) -> LogUnavailableError:
        if isinstance(error, OffsetOutOfRangeError):
            return LogUnavailableError(
                f"offset {position} of {self._partition.topic!r} is gone: records of the log were deleted"
            )
        return LogUnavailableError(f"{self._partition.topic!r} could not be read at offset {position}: {error!r}")

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._connection.client_options(),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=BATCH_BYTES_MAX,
            request_timeout_ms=10_000,
        )
        await producer.start()
        return producer

    async def _consumer(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=None,
        )
        await consumer.start()
        consumer.assign([self._partition])
        return consumer


def _record(record: "ConsumerRecord[bytes, bytes]") -> LogRecord:
    return LogRecord(record.offset, record.timestamp, record.key, record.value)
