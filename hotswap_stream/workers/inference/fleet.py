"""What this worker says of itself on the fleet topic, and what the others say."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from hotswap_events.fleet import HEARTBEAT_SECONDS, LIVE_SECONDS_MAX, FleetRecord
from hotswap_stream.kafka import clients

_log = structlog.get_logger(__name__)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(FleetRecord)


class Fleet:
    """Publishes this worker's records (on change and as a heartbeat) and folds everybody's."""

    def __init__(self, client_options: Mapping[str, Any], topic: str, worker: str) -> None:
        self._client_options = dict(client_options)
        self._partition = TopicPartition(topic, 0)
        self._worker = worker
        self._own: dict[str, FleetRecord] = {}
        self._others: dict[tuple[str, str], tuple[FleetRecord, float]] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._published_s = time.monotonic()
        self._producer: AIOKafkaProducer | None = None
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect, and begin to publish and to follow."""
        self._producer = clients.producer(**self._client_options, acks="all", linger_ms=0)
        self._consumer = clients.consumer(**self._client_options, group_id=None, auto_offset_reset="earliest")
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign([self._partition])
        await self._consumer.seek_to_beginning(self._partition)
        self._tasks = [
            asyncio.create_task(self._publish(self._producer), name="fleet-publish"),
            asyncio.create_task(self._follow(self._consumer), name="fleet-follow"),
        ]

    async def stop(self) -> None:
        """Say goodbye (null values) and disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(KafkaError):
            if self._producer is not None:
                for model_name in self._own:
                    await self._producer.send_and_wait(self._partition.topic, None, self._key(model_name), partition=0)
        for client in (self._producer, self._consumer):
            if client is not None:
                with suppress(KafkaError):
                    await client.stop()

    def report(self, record: FleetRecord) -> None:
        """Publish this worker's view of one model."""
        if self._own.get(record.model_name) != record:
            self._own[record.model_name] = record
            self._changed.set()

    @property
    def silent_s(self) -> float:
        """For how many seconds Kafka has not taken this worker's records."""
        return time.monotonic() - self._published_s

    def others(self, model_name: str) -> list[FleetRecord]:
        """Records of the other live workers for one model."""
        now = time.time()
        return [
            record
            for (worker, name), (record, seen) in self._others.items()
            if name == model_name and worker != self._worker and now - seen <= LIVE_SECONDS_MAX
        ]

    def _key(self, model_name: str) -> bytes:
        return f"{self._worker}/{model_name}".encode()

    async def _publish(self, producer: AIOKafkaProducer) -> None:
        while True:
            self._changed.clear()
            try:
                for model_name, record in list(self._own.items()):
                    await producer.send_and_wait(
                        self._partition.topic, _encoder.encode(record), self._key(model_name), partition=0
                    )
                self._published_s = time.monotonic()
            except KafkaError as error:
                _log.warning("fleet_not_published", error=repr(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), HEARTBEAT_SECONDS)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                fetched = (await consumer.getmany(timeout_ms=1_000)).get(self._partition, ())
            except KafkaError as error:
                _log.warning("fleet_not_read", error=repr(error))
                await asyncio.sleep(HEARTBEAT_SECONDS)
                continue
            for record in fetched:
                self._fold(record.key, record.value, record.timestamp / 1000)

    def _fold(self, key: bytes | None, value: bytes | None, seen: float) -> None:
        worker, _, model_name = (key or b"").decode(errors="replace").rpartition("/")
        if value is None:
            self._others.pop((worker, model_name), None)
            return
        try:
            record = _decoder.decode(value)
        except msgspec.DecodeError as error:
            _log.warning("fleet_record_unreadable", error=str(error))
            return
        self._others[record.worker, record.model_name] = (record, seen)
