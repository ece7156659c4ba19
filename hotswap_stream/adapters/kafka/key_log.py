"""The keys topic: read to its end, followed from there on, and written to."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Self

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from hotswap_stream.application.keys.records import KeyRecord, record_key_of
from hotswap_stream.application.keys.table import KeyTable
from hotswap_stream.application.processes.watched_tasks import WatchedTasks
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka.reading import Record
from hotswap_stream.kafka.sessions import open_producer, open_reader

_log = structlog.get_logger(__name__)

POLL_MS = 200
RETRY_SECONDS = 1.0
READ_SECONDS_MAX = 30.0
FLUSH_SECONDS_MAX = 5.0


class KafkaKeyLog:
    """A KeyLog, open for as long as its block runs. It enters once all keys are read.

    Where the topic cannot be read later, what was known last holds on: keys that were valid open what they did, and
    revocations arrive when it can be read again.
    """

    def __init__(self, client_options: Mapping[str, Any], topic: str, *, waits: bool = True) -> None:
        """Make one that is not open yet.

        Args:
            client_options: How to reach the cluster.
            topic: Of the keys.
            waits: Whether its block is entered only once all keys are read; else `read` waits for that.
        """
        self._waits = waits
        self.table = KeyTable()
        self._client_options = dict(client_options)
        self._partition = TopicPartition(topic, 0)
        self._tasks = WatchedTasks("following the keys")
        self._moved = asyncio.Condition()
        self._position = -1
        """Folded up to, not including, this offset; -1: nothing is read to its end yet."""

    async def __aenter__(self) -> Self:
        self._tasks.start(self._follow(), name="key-log")
        try:
            if self._waits:
                await self.read()
        except BaseException:
            await self._tasks.stop()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._tasks.stop()

    async def read(self) -> None:
        """Return once all keys were read. LogUnavailableError: That takes too long; it is tried on."""
        if self._position < 0:
            await self._wait(0, "the keys could not be read")

    async def append(self, record: KeyRecord) -> None:
        """See KeyLog."""
        try:
            async with (
                open_producer(self._client_options, flush_seconds_max=FLUSH_SECONDS_MAX) as producer,
                asyncio.timeout(READ_SECONDS_MAX),
            ):
                written = await producer.send_and_wait(
                    self._partition.topic, msgspec.json.encode(record), record_key_of(record), partition=0
                )
        except (KafkaError, OSError, TimeoutError) as error:
            raise LogUnavailableError(f"the key could not be written: {error!r}") from error
        await self._wait(written.offset + 1, "the key is written, but was not read again in time")

    async def _wait(self, position: int, otherwise: str) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS_MAX), self._moved:
                await self._moved.wait_for(lambda: self._position >= position)
        except TimeoutError as error:
            raise LogUnavailableError(f"{otherwise}: {self._partition.topic!r}") from error

    async def _follow(self) -> None:
        while True:
            try:
                async with open_reader(self._client_options) as consumer:
                    await self._read(consumer)
            except (KafkaError, OSError) as error:
                _log.warning("keys_not_followed", error=repr(error))
            except Exception:  # noqa: BLE001 - whatever it was, the keys known so far hold until they are read anew
                _log.exception("keys_not_followed")
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        await consumer.seek_to_beginning(self._partition)
        end = (await consumer.end_offsets([self._partition]))[self._partition]
        table, known = KeyTable(), False
        while True:
            position = await consumer.position(self._partition)
            if not known and position >= end:
                # Until then the former table holds: one that is half read would turn valid keys away.
                self.table, known = table, True
            if known and position != self._position:
                async with self._moved:
                    self._position = position
                    self._moved.notify_all()
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                _apply(records, table)


def _apply(records: Iterable[Record], table: KeyTable) -> None:
    for record in records:
        table.apply(record.key, record.value)
