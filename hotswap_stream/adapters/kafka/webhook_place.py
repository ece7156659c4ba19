"""A webhook's place in the registry log: the committed offset of a consumer group of its own.

The log has one partition, so the group gives it to one of the processes that follow it. With the offset the group keeps
a note on what became of the events before it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import msgspec
import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import OffsetAndMetadata
from msgspec import Struct

from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.application.webhooks.delivery import WebhookNote, WebhookPage
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.reading import first_records
from hotswap_stream.kafka.sessions import open_admin, open_reader
from hotswap_stream.kafka.uncancelled import to_the_end

_log = structlog.get_logger(__name__)

PAGE_RECORDS_MAX = 100
FETCH_BYTES_MAX = 1_048_576
POLL_MS = 500
COMMIT_SECONDS_MAX = 15.0
ASK_SECONDS_MAX = 20.0
SESSION_MS = 10_000
HAND_OVER_MS_MAX = 90_000
"""How long the group waits for an attempt that is being made; longer than any may take."""
_NO_LIMIT_MS = 2**31 - 1
"""Between two reads lie the attempts at an event, which may take an hour; heartbeats go on meanwhile."""
_ASK_AGAIN_SECONDS = 0.2

_notes = msgspec.json.Decoder(WebhookNote)


class KafkaWebhookPlace(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """A WebhookPlace. Use it with `async with`. A group without a position begins at the end of the log."""

    def __init__(self, client_options: Mapping[str, Any], topic: str, group: str) -> None:
        self._client_options = dict(client_options)
        self._partition = TopicPartition(topic, 0)
        self._group = group
        self._consumer = clients.consumer(
            **client_options,
            group_id=group,
            auto_offset_reset="none",
            max_poll_records=PAGE_RECORDS_MAX,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            max_poll_interval_ms=_NO_LIMIT_MS,
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 3,
            rebalance_timeout_ms=HAND_OVER_MS_MAX,
        )
        self._turn = 0
        self._taken_away = asyncio.Event()
        self._held = asyncio.Lock()

    async def __aenter__(self) -> Self:
        try:
            await to_the_end(self._consumer.start())
        except (KafkaError, OSError) as error:
            await to_the_end(end_consumer(self._consumer))
            raise LogUnavailableError(f"{self._group}: Kafka cannot be reached: {error!r}") from error
        except BaseException:
            await to_the_end(end_consumer(self._consumer))
            raise
        self._consumer.subscribe([self._partition.topic], listener=self)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await to_the_end(end_consumer(self._consumer))

    @property
    def turn(self) -> int:
        """See WebhookPlace."""
        return self._turn

    def taken_away(self) -> asyncio.Event:
        """See WebhookPlace."""
        return self._taken_away

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """See WebhookPlace."""
        async with self._held:
            yield

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Wait for the attempt that is being made. The client calls it before it hands the partition on."""
        if self._partition in revoked:
            _log.info("webhook_place_asked_for", group=self._group)
            self._taken_away.set()
            async with self._held:
                self._turn += 1
                self._taken_away = asyncio.Event()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take the partition. The client calls it when the group has given it out."""
        if self._partition in assigned:
            _log.info("webhook_place_taken", group=self._group)

    async def read(self) -> WebhookPage:
        """See WebhookPlace."""
        turn = self._turn
        try:
            fetched = (await self._consumer.getmany(timeout_ms=POLL_MS)).get(self._partition, ())
        except NoOffsetForPartitionError:
            await self._begin_at_end()
            return WebhookPage((), turn)
        except OffsetOutOfRangeError:
            _log.warning("webhook_place_gone", group=self._group)
            await self._begin_at_end()
            return WebhookPage((), turn)
        except ConsumerStoppedError as error:
            raise LogUnavailableError(f"{self._group} was stopped") from error
        except KafkaError as error:
            raise self._unavailable(error) from error
        # What came with a later turn is told by `_turn`, which grew before the partition could be given again.
        return WebhookPage([_inbound(record) for record in fetched], self._turn)

    async def note(self) -> WebhookNote:
        """See WebhookPlace."""
        found = await webhook_positions(self._client_options, self._partition.topic, [self._group])
        return found[self._group].note

    async def commit(self, next_offset: int, note: WebhookNote) -> None:
        """See WebhookPlace."""
        try:
            async with asyncio.timeout(COMMIT_SECONDS_MAX):
                await self._consumer.commit(
                    {self._partition: OffsetAndMetadata(next_offset, msgspec.json.encode(note).decode())}
                )
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error

    async def _begin_at_end(self) -> None:
        try:
            async with asyncio.timeout(ASK_SECONDS_MAX):
                end = (await self._consumer.end_offsets([self._partition]))[self._partition]
            self._consumer.seek(self._partition, end)
        except IllegalStateError:
            return  # taken away meanwhile
        except (KafkaError, TimeoutError) as error:
            raise self._unavailable(error) from error
        # At once, so that what comes from here on is not passed over by a start that comes later.
        await self.commit(end, WebhookNote())
        _log.info("webhook_begins", group=self._group, offset=end)

    def _unavailable(self, error: Exception) -> LogUnavailableError:
        return LogUnavailableError(f"{self._group} cannot follow {self._partition.topic!r}: {error!r}")


class WebhookPosition(Struct, frozen=True, kw_only=True):
    """How far a webhook was told, by what its group committed."""

    next_offset: int | None
    """None: no process has followed the log for it yet."""
    end_offset: int
    note: WebhookNote

    @property
    def lag(self) -> int | None:
        """Return the number of records that were not looked at for it; None: see `next_offset`."""
        return None if self.next_offset is None else max(0, self.end_offset - self.next_offset)


async def webhook_positions(
    client_options: Mapping[str, Any], topic: str, groups: Iterable[str]
) -> dict[str, WebhookPosition]:
    """Return how far the groups have come, by group. LogUnavailableError."""
    partition = TopicPartition(topic, 0)
    try:
        async with asyncio.timeout(ASK_SECONDS_MAX), open_admin(client_options) as admin:
            committed = {group: await _committed(admin, group, partition) for group in groups}
            end, places = await _places(client_options, partition, [_offset(found) for found in committed.values()])
            return {
                group: _position(found, next_offset=place, end_offset=end)
                for (group, found), place in zip(committed.items(), places, strict=True)
            }
    except (KafkaError, TimeoutError, OSError) as error:
        raise LogUnavailableError(f"the webhooks' positions could not be asked: {error!r}") from error


async def followed_webhooks(client_options: Mapping[str, Any], prefix: str) -> tuple[str, ...]:
    """Return the groups with this prefix that have a place in the log, or had one lately. LogUnavailableError."""
    try:
        async with open_admin(client_options) as admin:
            groups = await admin.list_consumer_groups()
    except (KafkaError, TimeoutError, OSError) as error:
        raise LogUnavailableError(f"the webhooks that are followed could not be asked: {error!r}") from error
    return tuple(sorted({group[0] for group in groups if group[0].startswith(prefix)}))


async def _places(
    client_options: Mapping[str, Any], partition: TopicPartition, offsets: Sequence[int | None]
) -> tuple[int, list[int | None]]:
    """Return the log's end, and each of the offsets moved on to a record or to that end.

    What a transaction left between is nothing that a webhook could be told of.
    """
    async with open_reader(client_options) as consumer:
        end = int((await consumer.end_offsets([partition]))[partition])
        begin = int((await consumer.beginning_offsets([partition]))[partition])
        places: list[int | None] = []
        for offset in offsets:
            if offset is not None and begin <= offset < end:
                found = await first_records(consumer, {partition: offset}, {partition: end})
                places.append(found.get(partition, end))
            else:
                places.append(offset)
        return end, places


async def _committed(admin: AIOKafkaAdminClient, group: str, partition: TopicPartition) -> OffsetAndMetadata | None:
    """Ask until the group has a coordinator: on a fresh cluster the first who asks makes it."""
    while True:
        try:
            found = await admin.list_consumer_group_offsets(group)
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        else:
            return found.get(partition)


def _offset(committed: OffsetAndMetadata | None) -> int | None:
    return None if committed is None or committed.offset < 0 else int(committed.offset)


def _position(committed: OffsetAndMetadata | None, *, next_offset: int | None, end_offset: int) -> WebhookPosition:
    note = WebhookNote()
    if committed is not None and next_offset is not None:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            note = _notes.decode(committed.metadata)
    return WebhookPosition(next_offset=next_offset, end_offset=end_offset, note=note)


def _inbound(record: "ConsumerRecord[bytes, bytes]") -> InboundRecord:
    return InboundRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )
