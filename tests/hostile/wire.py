"""Writes records as nobody should: too large, in transactions that are given up, in batches that cannot be unpacked."""

import asyncio
import gzip
import uuid
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Struct

from tests.hostile.records import HostileRecord
from tests.torture.topic_reading import LOG_LEVEL

WRITE_SECONDS_MAX = 120.0
_BYTES_MAX = 1_000_000_000
_GZIP = 1
_HEADER_BYTES = 61
"""The header of a batch; what is compressed comes after it."""
_CRC_AT, _ATTRIBUTES_AT = 17, 21


class Written(Struct, kw_only=True):
    """What became of it at the broker."""

    topic: str
    partition: int
    offsets: tuple[int, ...] = ()
    """Where it lies; in the order in which it was written."""
    refused: str | None = None
    """The broker did not take it, in its words."""
    committed: bool = True
    """Whether readers of what is committed get to see it."""


class Wire:
    """Producers of every sort. An async context manager."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.hostile: dict[tuple[str, int], set[int]] = {}
        """Topic and partition → offsets of what was written here."""
        self._servers = bootstrap_servers
        self._plain = Producer(_options(bootstrap_servers))
        self._packed = Producer(_options(bootstrap_servers) | {"compression.codec": "zstd"})
        self._client = AIOKafkaClient(bootstrap_servers=bootstrap_servers)

    async def __aenter__(self) -> "Wire":
        await self._client.bootstrap()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._client.close()

    async def write(self, records: list[HostileRecord]) -> list[Written]:
        """Write them in this order; returns when the broker has said what became of each."""
        found: list[Written] = []
        waiting: list[HostileRecord] = []
        for record in [*records, None]:
            if record is not None and record.transport == "plain":
                waiting.append(record)
                continue
            if waiting:
                found += await asyncio.to_thread(self._produce, self._plain, waiting)
                waiting = []
            if record is not None:
                found.append(await self._special(record))
        for written in found:
            self.hostile.setdefault((written.topic, written.partition), set()).update(written.offsets)
        return found

    async def _special(self, record: HostileRecord) -> Written:
        if record.transport == "packed":
            return (await asyncio.to_thread(self._produce, self._packed, [record]))[0]
        if record.transport in ("garbage", "cut"):
            return await self._raw(record)
        return await asyncio.to_thread(self._transaction, record)

    def _produce(self, producer: Producer, records: list[HostileRecord]) -> list[Written]:
        found = [Written(topic=record.topic, partition=record.partition) for record in records]
        for record, written in zip(records, found, strict=True):
            for _copy in range(record.times):
                self._send(producer, record, written)
        if producer.flush(WRITE_SECONDS_MAX):
            raise TimeoutError(f"the broker took no records for {WRITE_SECONDS_MAX} s")
        return found

    def _send(self, producer: Producer, record: HostileRecord, written: Written) -> None:
        def delivered(error: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            if error is not None:
                written.refused = error.str()
            elif offset is not None:
                written.offsets = (*written.offsets, offset)

        options: dict[str, Any] = {} if record.timestamp_ms is None else {"timestamp": record.timestamp_ms}
        while True:
            try:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    headers=list(record.headers),
                    on_delivery=delivered,
                    **options,
                )
                break
            except BufferError:
                producer.poll(0.05)
            except KafkaException as error:
                written.refused = str(error)
                break

    def _transaction(self, record: HostileRecord) -> Written:
        options = {
            "transactional.id": f"hostile-{uuid.uuid4()}",
            "transaction.timeout.ms": int(WRITE_SECONDS_MAX * 1_000),
        }
        producer = Producer(_options(self._servers) | options)
        producer.init_transactions(WRITE_SECONDS_MAX)
        producer.begin_transaction()
        written = self._produce(producer, [record])[0]
        if record.transport == "committed":
            producer.commit_transaction(WRITE_SECONDS_MAX)
        else:
            producer.abort_transaction(WRITE_SECONDS_MAX)
            written.committed = False
        return written

    async def _raw(self, record: HostileRecord) -> Written:
        """A batch whose sum is right and whose compressed records are none."""
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1_000_000)
        builder.append(0, record.timestamp_ms or 1, record.key, record.value, list(record.headers))
        batch = bytes(builder.build())
        packed = gzip.compress(batch[_HEADER_BYTES:])
        records = b"this is not gzip at all" if record.transport == "garbage" else packed[: len(packed) // 2]
        header = bytearray(batch[:_HEADER_BYTES])
        header[8:12] = (_HEADER_BYTES - 12 + len(records)).to_bytes(4, "big")
        header[_ATTRIBUTES_AT : _ATTRIBUTES_AT + 2] = _GZIP.to_bytes(2, "big")
        whole = bytes(header) + records
        crc = calc_crc32c(whole[_ATTRIBUTES_AT:])
        whole = whole[:_CRC_AT] + crc.to_bytes(4, "big") + whole[_ATTRIBUTES_AT:]
        await self._client.force_metadata_update()
        request = ProduceRequest(
            transactional_id=None,
            required_acks=-1,
            timeout=30_000,
            topics=[(record.topic, [(record.partition, whole)])],
        )
        node = self._client.cluster.brokers()
        response = await self._client.send(next(iter(node)).nodeId, request)
        (_topic, partitions), *_rest = response.topics
        error, offset = partitions[0][1], partitions[0][2]
        written = Written(topic=record.topic, partition=record.partition)
        if error:
            written.refused = str(KafkaError(error).str())
        else:
            written.offsets = (offset,)
        return written


def _options(servers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 2,
        "message.max.bytes": _BYTES_MAX,
        "queue.buffering.max.kbytes": 1_000_000,
        "message.timeout.ms": int(WRITE_SECONDS_MAX * 1_000),
        "log_level": LOG_LEVEL,
    }
