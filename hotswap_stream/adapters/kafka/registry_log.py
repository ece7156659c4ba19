"""The registry log on Kafka: one partition, one record batch per decision."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaError, MessageSizeTooLargeError, OffsetOutOfRangeError
from aiokafka.structs import RecordMetadata

from hotswap_events.envelope import CONTENT_TYPE
from hotswap_stream.application.log.identity import WAY_OUT
from hotswap_stream.application.log.port import HELD_BACK_SECONDS, LogPage, LogRecord
from hotswap_stream.errors import (
    AppendOutcomeUnknownError,
    DecisionTooLargeError,
    LogReplacedError,
    LogUnavailableError,
)
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.producer_stop import stop_producer
from hotswap_stream.kafka.reading import first_open_offset
from hotswap_stream.kafka.sessions import started_producer
from hotswap_stream.kafka.transaction_offsets import transaction_offsets
from hotswap_stream.kafka.uncancelled import to_the_end

_log = structlog.get_logger(__name__)

BATCH_BYTES_MAX = 1_000_000
APPEND_SECONDS_MAX = 20.0
FLUSH_SECONDS_MAX = 1.0
REQUEST_MS_MAX = 10_000
READ_STALL_SECONDS_MAX = 30.0
_POLL_MS = 250
"""How long a reader waits for records before it looks how far it has come: at the end there may be none."""
_FOLLOW_WAIT_MS = 500
_READ_WAIT_MS = 10
"""A reader that looked past the end must not keep the next one waiting: its questions are short, and none when idle."""
_HEADERS = [("content-type", CONTENT_TYPE.encode())]


class KafkaRegistryLog:
    """`RegistryLog` on one partition of a Kafka topic. Use from the event loop it was started in."""

    def __init__(self, connection: KafkaConnection, topic: str, *, reads_only: bool = False) -> None:
        self._connection = connection
        self._reads_only = reads_only
        self._partition = TopicPartition(topic, 0)
        self._producer: AIOKafkaProducer | None = None
        self._producer_lock = asyncio.Lock()
        self._turn = asyncio.Lock()  # aiokafka times out batches that wait in a queue, each the sooner the longer it is
        self._reader: AIOKafkaConsumer | None = None
        self._reader_lock = asyncio.Lock()
        self._followers: set[AIOKafkaConsumer] = set()
        self._held_back: tuple[int, float] | None = None
        """The first offset of an open transaction that a follower waits at, and since when (monotonic seconds)."""
        self._told_of = False

    async def start(self) -> None:
        """Connect producer and reader."""
        try:
            self._reader = await self._consumer(fetch_max_wait_ms=_READ_WAIT_MS)
            if not self._reads_only:
                self._producer = await self._new_producer()
        except (KafkaError, OSError) as error:
            await self.stop()
            raise self._unreachable(error) from error

    async def stop(self) -> None:
        """Disconnect; this ends every `follow`."""
        reader, self._reader = self._reader, None
        producer, self._producer = self._producer, None
        for consumer in (*self._followers, reader):
            if consumer is not None:
                await to_the_end(end_consumer(consumer))
        self._followers.clear()
        if producer is not None:
            await to_the_end(stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX))

    async def append(self, key: bytes, values: Sequence[bytes]) -> int:
        """Write one record batch, and return the offset of its first record."""
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
        if self._reads_only:
            raise LogUnavailableError("this access to the log only reads")
        async with self._producer_lock:
            if self._producer is None:
                try:
                    self._producer = await self._new_producer()
                except (KafkaError, OSError) as error:
                    raise self._unreachable(error) from error
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        """Drop the producer: an idempotent one that failed has lost count of its sequence numbers.

        The next append gets a new one.
        """
        if self._producer is producer:
            self._producer = None
        await to_the_end(stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX))

    async def end_offset(self) -> int:
        """See RegistryLog."""
        reader = self._started_reader()
        try:
            return int((await reader.end_offsets([self._partition]))[self._partition])
        except KafkaError as error:
            raise LogUnavailableError(f"the log's end could not be asked: {error!r}") from error

    async def offset_at(self, timestamp_ms: int) -> int:
        """Return the first offset appended after `timestamp_ms`."""
        reader = self._started_reader()
        try:
            found = (await reader.offsets_for_times({self._partition: max(0, timestamp_ms + 1)}))[self._partition]
        except KafkaError as error:
            raise LogUnavailableError(f"the log could not be asked for a time: {error!r}") from error
        return await self.end_offset() if found is None else int(found.offset)

    async def read(self, start_offset: int, end_offset: int) -> AsyncIterator[Sequence[LogRecord]]:
        """Yield pages of records. Several `read`s may run at once; they take turns page by page."""
        reader = self._started_reader()
        end = min(end_offset, await self.end_offset())
        position = max(0, start_offset)
        deadline = monotonic() + READ_STALL_SECONDS_MAX
        while position < end:
            async with self._reader_lock:
                fetched, reached = await self._fetch(reader, position)
            page = [_record(record) for record in fetched if position <= record.offset < end]
            if page:
                yield page
            if reached > position:
                position, deadline = reached, monotonic() + READ_STALL_SECONDS_MAX
            elif monotonic() > deadline:
                raise LogUnavailableError(
                    f"{self._partition.topic!r} gave no record from offset {position} on for {READ_STALL_SECONDS_MAX} s"
                )

    async def _fetch(
        self, reader: AIOKafkaConsumer, position: int
    ) -> "tuple[Sequence[ConsumerRecord[bytes, bytes]], int]":
        """Return records, and the offset after them and after the offsets without records that follow."""
        try:
            reader.resume(self._partition)
            reader.seek(self._partition, position)
            fetched = await reader.getmany(self._partition, timeout_ms=_POLL_MS)
            reached = await reader.position(self._partition)
            reader.pause(self._partition)
        except ConsumerStoppedError as error:
            raise LogUnavailableError("the log was stopped while it was read") from error
        except KafkaError as error:
            raise self._unreadable(error, position) from error
        return fetched.get(self._partition, ()), reached

    def reader(self) -> "KafkaRegistryLog":
        """Return one more access to the log, with a client of its own."""
        return KafkaRegistryLog(self._connection, self._partition.topic, reads_only=True)

    async def follow(self, start_offset: int) -> AsyncIterator[LogPage]:
        """Yield pages of records as they come, by a consumer of its own."""
        self._started_reader()
        try:
            consumer = await self._consumer()
        except (KafkaError, OSError) as error:
            raise self._unreachable(error) from error
        self._followers.add(consumer)
        try:
            position = max(0, start_offset)
            consumer.seek(self._partition, position)
            while self._reader is not None:
                try:
                    fetched = (await consumer.getmany(timeout_ms=_POLL_MS)).get(self._partition, ())
                    reached = await consumer.position(self._partition)
                except ConsumerStoppedError:
                    return
                except KafkaError as error:
                    if error.retriable:
                        continue
                    raise self._unreadable(error, position) from error
                self._look_for_open_transaction(consumer)
                if reached > position:
                    position = reached
                    yield LogPage([_record(record) for record in fetched], position)
        finally:
            self._followers.discard(consumer)
            await to_the_end(end_consumer(consumer))

    async def without_records(self, start_offset: int, end_offset: int) -> Sequence[range]:
        """See RegistryLog."""
        reader = self._started_reader()
        try:
            async with asyncio.timeout(READ_STALL_SECONDS_MAX):
                return await transaction_offsets(reader, self._partition, start_offset, end_offset)
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailableError(f"{self._partition.topic!r} could not be looked at: {error!r}") from error

    def obstacle(self, *, seconds_min: float = HELD_BACK_SECONDS) -> str | None:
        """See RegistryLog."""
        if self._held_back is None:
            return None
        offset, since_s = self._held_back
        seconds = monotonic() - since_s
        if seconds < seconds_min:
            return None
        return (
            f"a transaction of another client, begun at offset {offset} of {self._partition.topic!r}, is open for "
            f"{seconds:.0f} s or longer and holds back every record after it. It ends by itself after its time-out "
            "(at most 15 minutes, unless the cluster allows more). `kafka-transactions.sh --bootstrap-server "
            f"{self._connection.bootstrap_servers} abort --topic {self._partition.topic} --partition 0 "
            f"--start-offset {offset}` ends one whose producer is gone"
        )

    def _look_for_open_transaction(self, consumer: AIOKafkaConsumer) -> None:
        offset = first_open_offset(consumer, self._partition)
        if offset is None:
            if self._told_of:
                _log.info("registry_log_flows_again", topic=self._partition.topic)
            self._held_back, self._told_of = None, False
        elif self._held_back is None or self._held_back[0] != offset:
            self._held_back = offset, monotonic()
        elif not self._told_of and (obstacle := self.obstacle()) is not None:
            self._told_of = True
            _log.warning("registry_log_held_back", cause=obstacle)

    def _started_reader(self) -> AIOKafkaConsumer:
        if self._reader is None:
            raise LogUnavailableError("the log is not started")
        return self._reader

    def _unreachable(self, error: Exception) -> LogUnavailableError:
        return LogUnavailableError(f"Kafka at {self._connection.bootstrap_servers} cannot be reached: {error!r}")

    def _unreadable(self, error: KafkaError, position: int) -> LogUnavailableError:
        if isinstance(error, OffsetOutOfRangeError):
            topic = self._partition.topic
            if position == 0:
                return LogReplacedError(
                    f"the beginning of {topic!r}, offset 0, is gone: records of the log were deleted, and without them "
                    "no state can be told. Restore the topic, or begin again with `hotswap-stream reset`"
                )
            return LogReplacedError(
                f"offset {position} of {topic!r} is gone: records of the log were deleted, or another log stands in "
                f"its place. {WAY_OUT}"
            )
        return LogUnavailableError(f"{self._partition.topic!r} could not be read at offset {position}: {error!r}")

    async def _new_producer(self) -> AIOKafkaProducer:
        return await started_producer(
            self._connection.client_options(),
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=BATCH_BYTES_MAX,
            request_timeout_ms=REQUEST_MS_MAX,
        )

    async def _consumer(self, *, fetch_max_wait_ms: int = _FOLLOW_WAIT_MS) -> AIOKafkaConsumer:
        consumer = clients.consumer(
            **self._connection.client_options(),
            group_id=None,
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
