"""Record batches that the Kafka client cannot read: where they end, so that a reader can go on after them.

The client hands out the same error again and again and never moves (librdkafka issue 5260): for a batch whose
compression is damaged, or that unpacks to more than `receive.message.max.bytes`. Seeking into the batch does not help,
because the broker sends whole batches. Its header is not compressed and says which offsets it holds, so the batch is
fetched once more, by a client that hands out its bytes.
"""

import asyncio
import struct
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.protocol.fetch import FetchRequest
from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as Place
from msgspec import Struct

_log = structlog.get_logger(__name__)

ASK_SECONDS_MAX = 10.0
_FETCH_BYTES = 1
"""A broker sends the first batch whole, however few bytes are asked for."""
_FETCH_MS_MAX = 500
_HEADER = struct.Struct(">qiibiHiqq")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and largest timestamp."""
_MAGIC = 2
_READ_UNCOMMITTED = 0

ReadOn = Callable[[Consumer, Message], bool]
"""Takes a message with an error, and returns whether the consumer goes on after what it cannot read."""

_UNREADABLE = frozenset(
    (
        KafkaError._BAD_COMPRESSION,  # the client's public names
        KafkaError._BAD_MSG,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError._UNDERFLOW,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.MSG_SIZE_TOO_LARGE,
    )
)


class BatchPlace(Struct, frozen=True):
    """Which offsets a batch holds. `timestamp_ms`: the largest of its records."""

    first_offset: int
    last_offset: int
    timestamp_ms: int


def is_unreadable(error: KafkaError) -> bool:
    """Return whether an error of a consumer says that what is at its position cannot be read."""
    return error.code() in _UNREADABLE


def batch_place(content: bytes, offset: int) -> BatchPlace | None:
    """Return the place of the first batch of what a broker sent that reaches up to `offset`; None for none."""
    start = 0
    while len(content) - start >= _HEADER.size:
        base, length, _epoch, magic, _crc, _attributes, delta, _first_ms, largest_ms = _HEADER.unpack_from(
            content, start
        )
        last = base + delta
        if magic != _MAGIC or length <= 0 or delta < 0:
            return None
        if last >= offset:
            return BatchPlace(base, last, largest_ms)
        start += 12 + length  # the length counts the bytes after itself
    return None


def find_batch(options: Mapping[str, Any], topic: str, partition: int, offset: int) -> BatchPlace | None:
    """Return the batch that a reader at `offset` comes to next; None if it cannot be known now.

    For a thread without an event loop. `options` are those of aiokafka's clients.
    """
    try:
        return asyncio.run(_find(options, topic, partition, offset))
    except (AioKafkaError, OSError, TimeoutError):
        return None


def reading_on(options: Mapping[str, Any]) -> ReadOn:
    """Return what lets readers go on that need not say what they left out. `options`: those of aiokafka's clients."""

    def read_on(consumer: Consumer, message: Message) -> bool:
        error, topic, partition, offset = message.error(), message.topic(), message.partition(), message.offset()
        if error is None or topic is None or partition is None or not is_unreadable(error):
            return False
        position = consumer.position([Place(topic, partition)])[0].offset
        wanted = max(position, 0 if offset is None else offset)
        place = find_batch(options, topic, partition, wanted)
        if place is None:
            return False
        _log.error(
            "batch_left_out",
            topic=topic,
            partition=partition,
            first_offset=place.first_offset,
            last_offset=place.last_offset,
            cause=str(error),
        )
        consumer.seek(Place(topic, partition, place.last_offset + 1))
        return True

    return read_on


async def _find(options: Mapping[str, Any], topic: str, partition: int, offset: int) -> BatchPlace | None:
    async with asyncio.timeout(ASK_SECONDS_MAX):
        client = AIOKafkaClient(**options)
        try:
            await client.bootstrap()
            # All topics, because asking for one that does not exist may create it.
            cluster = await client.fetch_all_metadata()
            node = cluster.leader_for_partition(TopicPartition(topic, partition))
            if node is None or node < 0:
                return None
            request = FetchRequest(
                _FETCH_MS_MAX, 1, _FETCH_BYTES, _READ_UNCOMMITTED, [(topic, [(partition, offset, _FETCH_BYTES)])]
            )
            response = await client.send(node, request)
        finally:
            await client.close()
    for _topic, parts in response.topics:
        for part in parts:
            error_code, content = part[1], part[-1]
            if not error_code and content:
                return batch_place(bytes(content), offset)
    return None
