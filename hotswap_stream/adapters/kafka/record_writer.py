"""Records with times of their own, and offsets without records: what a restored log has, and nothing else writes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from hotswap_events.bounds import INT64_MAX
from hotswap_events.envelope import CONTENT_TYPE
from hotswap_events.topics import TopicSpec
from hotswap_stream.adapters.kafka.topic_admin import check_topics, set_on_topic
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.producer_stop import stop_producer
from hotswap_stream.kafka.sessions import started_producer
from hotswap_stream.kafka.uncancelled import to_the_end

BATCH_BYTES_MAX = 1_000_000
FLUSH_SECONDS_MAX = 5.0
WRITE_SECONDS_MAX = 60.0
_TIMES, _GIVEN_TIMES = "message.timestamp.type", "CreateTime"
_HOW_OLD = "message.timestamp.before.max.ms"
_HEADERS = [("content-type", CONTENT_TYPE.encode())]


class KafkaRecordWriter:
    """`RecordWriter` for partition 0 of a topic that keeps the times that it is given."""

    def __init__(self, connection: KafkaConnection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._plain: AIOKafkaProducer | None = None
        self._in_transactions: AIOKafkaProducer | None = None

    async def stop(self) -> None:
        """Disconnect."""
        for producer in (self._plain, self._in_transactions):
            if producer is not None:
                await to_the_end(stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX))
        self._plain = self._in_transactions = None

    async def write(self, records: Sequence[LogRecord], *, marked: bool = False) -> int:
        """See RecordWriter. LogUnavailableError where the cluster does not take it."""
        try:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                if not marked:
                    self._plain = self._plain or await self._producer()
                    return await self._send(self._plain, records)
                producer = await self._begun()
                first = await self._send(producer, records)
                await producer.commit_transaction()
                return first
        except (KafkaError, TimeoutError) as error:
            raise self._failed(error) from error

    async def pass_over(self, count: int) -> None:
        """See RecordWriter: records that are taken back, and the marker of that."""
        try:
            async with asyncio.timeout(WRITE_SECONDS_MAX):
                producer = await self._begun()
                await self._send(producer, [LogRecord(0, 0, None, b"")] * (count - 1))
                await producer.abort_transaction()
        except (KafkaError, TimeoutError) as error:
            raise self._failed(error) from error

    async def _begun(self) -> AIOKafkaProducer:
        self._in_transactions = self._in_transactions or await self._producer(transactional_id=f"{self._topic}-restore")
        await self._in_transactions.begin_transaction()
        return self._in_transactions

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[LogRecord]) -> int:
        """Send one batch after the other, and return the offset of the first record."""
        first: int | None = None
        waiting = list(records)
        while waiting:
            batch = producer.create_batch()
            taken = 0
            for record in waiting:
                if (
                    batch.append(
                        key=record.key, value=record.value, timestamp=record.timestamp_ms or None, headers=_HEADERS
                    )
                    is None
                ):
                    break
                taken += 1
            if not taken:
                raise LogUnavailableError(f"the record of offset {waiting[0].offset} fits into no batch")
            batch.close()
            sent = await producer.send_batch(batch, self._topic, partition=0)
            metadata = await sent
            first = metadata.offset if first is None else first
            waiting = waiting[taken:]
        return -1 if first is None else first

    async def _producer(self, **options: str) -> AIOKafkaProducer:
        return await started_producer(
            self._connection.client_options(),
            **options,
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES_MAX,
            max_request_size=BATCH_BYTES_MAX,
        )

    def _failed(self, error: Exception) -> LogUnavailableError:
        return LogUnavailableError(
            f"{self._topic!r} did not take what is to be restored: {error!r}. The same again goes on where it stood"
        )


async def keeps_given_times(connection: KafkaConnection, spec: TopicSpec) -> bool:
    """Return whether the topic keeps the times that records bring, as while it is restored; False if nobody may know.

    Raises:
        LogUnavailableError: The cluster cannot be asked.
    """
    for _spec, facts, _different in await check_topics(connection, [spec]):
        found = (facts.settings or {}).get(_TIMES)
        return found is not None and found.value == _GIVEN_TIMES
    return False


@asynccontextmanager
async def restoring_topic(connection: KafkaConnection, spec: TopicSpec) -> AsyncIterator[KafkaRecordWriter]:
    """Have the topic keep the times that records bring, for as long as the block runs.

    Meanwhile no process of ours starts on it: a log whose times are not the broker's breaks a promise. If the block
    fails, it stays so, and the next one goes on.

    Raises:
        ConfigurationError: This client may not change its settings.
        LogUnavailableError: The cluster cannot be reached.
    """
    await set_on_topic(connection, spec, {_TIMES: _GIVEN_TIMES})
    # A broker tells of a change before its log goes by it, and takes one change after the other: where this one is told
    # of, that one is in force. And it is needed: a cluster may refuse old times.
    await set_on_topic(connection, spec, {_HOW_OLD: str(INT64_MAX)})
    writer = KafkaRecordWriter(connection, spec.name)
    try:
        yield writer
    finally:
        await writer.stop()
    await set_on_topic(connection, spec, {_TIMES: "LogAppendTime"})
