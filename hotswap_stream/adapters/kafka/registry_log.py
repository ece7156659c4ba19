"""The registry log on Kafka: one partition, one record batch a decision."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, MessageSizeTooLargeError, OffsetOutOfRangeError
from aiokafka.structs import RecordMetadata

from hotswap_events.envelope import CONTENT_TYPE
from hotswap_stream.adapters.kafka.connection import KafkaConnection
from hotswap_stream.adapters.kafka.uncancelled import to_the_end
from hotswap_stream.application.registry_log import LogRecord
from hotswap_stream.errors import AppendOutcomeUnknownError, DecisionTooLargeError, LogUnavailableError
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.producer_stop import stop_producer

BATCH_BYTES_MAX = 1_000_000
APPEND_SECONDS_MAX = 20.0
FLUSH_SECONDS_MAX = 1.0
REQUEST_MS_MAX = 10_000
READ_STALL_SECONDS_MAX = 30.0
_FOLLOW_POLL_MS = 1_000
_FOLLOW_WAIT_MS = 500
_READ_WAIT_MS = 10
"""A reader that looked past the end must not keep the next one waiting: it asks shortly, and not at all when idle."""
_HEADERS = [("content-type", CONTENT_TYPE.encode())]


class KafkaRegistryLog:
    """`RegistryLog` on one partition of a Kafka topic. Use from the event loop it was started in."""

    def __init__(self, connection: KafkaConnection, topic: str) -> None:
        self._connection = connection
        self._partition = TopicPartition(topic, 0)
        self._producer: AIOKafkaProducer | None = None
        self._producer_lock = asyncio.Lock()
        self._turn = asyncio.Lock()  # aiokafka times out batches that wait in a queue, each the sooner the longer it is
        self._reader: AIOKafkaConsumer | None = None
        self._reader_lock = asyncio.Lock()
        self._followers: set[AIOKafkaConsumer] = set()

    async def start(self) -> None:
        """Connect producer and reader."""
        try:
            self._reader = await self._consumer(fetch_max_wait_ms=_READ_WAIT_MS)
            self._producer = await self._new_producer()
        except (KafkaError, OSError) as error:
            await self.stop()
            raise self._unreachable(error) from error

    async def stop(self) -> None:
        """Disconnect; ends every `follow`."""
        reader, self._reader = self._reader, None
        producer, self._producer = self._producer, None
        for consumer in (*self._followers, reader):
            if consumer is not None:
                await to_the_end(end_consumer(consumer))
        self._followers.clear()
        if producer is not None:
            await to_the_end(stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX))

    async def append(self, key: bytes, values: Sequence[bytes]) -> int:
        """One record batch; the first record's offset."""
        producer = await self._started_producer()
        batch = producer.create_batch()
        appended = [batch.append(key=key, value=value, timestamp=None, headers=_HEADERS) for value in values]
        if None in appended or batch.size() > BATCH_BYTES_MAX:
            raise DecisionTooLargeError(
                f"{sum(map(len, values))} bytes of events do not fit into one batch of {BATCH_BYTES_MAX} bytes"
            )
        batch.close()
        sent: asyncio.Future[RecordMetadata] | None = None
        try:
            async with asyncio.timeout(APPEND_SECONDS_MAX):
                async with self._turn:
                    sent = await producer.send_batch(batch, self._partition.topic, partition=self._partition.partition)
                metadata = await asyncio.shield(sent)
        except MessageSizeTooLargeError as error:
            await self._discard(producer)
            raise DecisionTooLargeError(f"the broker refused a batch of {sum(map(len, values))} bytes") from error
        except (KafkaError, TimeoutError) as error:
            await self._discard(producer)
            if sent is None:
                raise LogUnavailableError(f"the log did not take the append: {error!r}") from error
            raise AppendOutcomeUnknownError(f"the log did not confirm the append: {error!r}") from error
        finally:
            if sent is not None:  # nobody may be left to hear how it ended
                sent.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        if metadata.offset < 0:
            raise AppendOutcomeUnknownError("the broker says the batch is a duplicate, but not at which offset it is")
        return int(metadata.offset)

    async def _started_producer(self) -> AIOKafkaProducer:
        self._started_reader()
        async with self._producer_lock:
            if self._producer is None:
                try:
                    self._producer = await self._new_producer()
                except (KafkaError, OSError) as error:
                    raise self._unreachable(error) from error
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        """An idempotent producer that failed has lost count of its sequence numbers: the next append gets a new one."""
        if self._producer is producer:
            self._producer = None
        await to_the_end(stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX))

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
            found = (await reader.offsets_for_times({self._partition: max(0, timestamp_ms + 1)}))[self._partition]
        except KafkaError as error:
            raise LogUnavailableError(f"the log could not be asked for a time: {error!r}") from error
        return await self.end_offset() if found is None else int(found.offset)

    async def read(self, start_offset: int, end_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Pages of records. Several `read`s may run at once; they take turns page by page."""
        reader = self._started_reader()
        end = min(end_offset, await self.end_offset())
        position = max(0, start_offset)
        deadline = monotonic() + READ_STALL_SECONDS_MAX
        while position < end:
            async with self._reader_lock:
                fetched = await self._fetch(reader, position)
            page = [_record(record) for record in fetched if position <= record.offset < end]
            if page:
                position = page[-1].offset + 1
                yield page
                deadline = monotonic() + READ_STALL_SECONDS_MAX
            elif monotonic() > deadline:
                raise LogUnavailableError(
                    f"{self._partition.topic!r} gave no record from offset {position} on for {READ_STALL_SECONDS_MAX} s"
                )

    async def _fetch(self, reader: AIOKafkaConsumer, position: int) -> "Sequence[ConsumerRecord[bytes, bytes]]":
        try:
            reader.resume(self._partition)
            reader.seek(self._partition, position)
            fetched = await reader.getmany(self._partition, timeout_ms=_FOLLOW_POLL_MS)
            reader.pause(self._partition)
        except ConsumerStoppedError as error:
            raise LogUnavailableError("the log was stopped while it was read") from error
        except KafkaError as error:
            raise self._unreadable(error, position) from error
        records: Sequence[ConsumerRecord[bytes, bytes]] = fetched.get(self._partition, ())
        return records

    async def follow(self, start_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Pages of records as they come, by a consumer of its own."""
        self._started_reader()
        try:
            consumer = await self._consumer()
        except (KafkaError, OSError) as error:
            raise self._unreachable(error) from error
        self._followers.add(consumer)
        try:
            consumer.seek(self._partition, max(0, start_offset))
            while self._reader is not None:
                try:
                    fetched = (await consumer.getmany(timeout_ms=_FOLLOW_POLL_MS)).get(self._partition)
                except ConsumerStoppedError:
                    return
                except KafkaError as error:
                    if error.retriable:
                        continue
                    raise self._unreadable(error, await consumer.position(self._partition)) from error
                if fetched:
                    yield [_record(record) for record in fetched]
        finally:
            self._followers.discard(consumer)
            await to_the_end(end_consumer(consumer))

    def _started_reader(self) -> AIOKafkaConsumer:
        if self._reader is None:
            raise LogUnavailableError("the log is not started")
        return self._reader

    def _unreachable(self, error: Exception) -> LogUnavailableError:
        return LogUnavailableError(f"Kafka at {self._connection.bootstrap_servers} cannot be reached: {error!r}")

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
            request_timeout_ms=REQUEST_MS_MAX,
        )
        try:
            await to_the_end(producer.start())
        except BaseException:
            await to_the_end(producer.stop())
            raise
        return producer

    async def _consumer(self, *, fetch_max_wait_ms: int = _FOLLOW_WAIT_MS) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            **self._connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=None,
            fetch_max_wait_ms=fetch_max_wait_ms,
            request_timeout_ms=REQUEST_MS_MAX,
        )
        try:
            await to_the_end(consumer.start())
        except BaseException:
            await to_the_end(end_consumer(consumer))
            raise
        consumer.assign([self._partition])
        return consumer


def _record(record: "ConsumerRecord[bytes, bytes]") -> LogRecord:
    return LogRecord(record.offset, record.timestamp, record.key, record.value)
