"""What the agents saw of the registry log, kept in the changelog of their table: for machines that remember nothing.

One record under the key of the log's own stream; its value is a `SeenLog`.
"""

import asyncio

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from hotswap_events.log_stream import LOG_STREAM
from hotswap_stream.application.log.identity import SeenLog
from hotswap_stream.errors import LogUnavailableError
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.producer_stop import stop_producer
from hotswap_stream.kafka.reading import read_to
from hotswap_stream.kafka.uncancelled import to_the_end

READ_SECONDS_MAX = 30.0
FLUSH_SECONDS_MAX = 5.0
_KEY = LOG_STREAM.encode()

_log = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(SeenLog)


async def read_seen_log(connection: KafkaConnection, topic: str) -> SeenLog | None:
    """The last that was kept; None: nothing, or nothing that reads. The topic must exist. LogUnavailableError."""
    partition, value = TopicPartition(topic, 0), None
    consumer = clients.consumer(**connection.client_options(), group_id=None, auto_offset_reset="earliest")
    try:
        await to_the_end(consumer.start())
        consumer.assign([partition])
        async with asyncio.timeout(READ_SECONDS_MAX):
            ends = await consumer.end_offsets([partition])
            async for _, records in read_to(consumer, ends):
                for record in records:
                    value = record.value if record.key == _KEY else value
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailableError(f"what the agents saw of the log could not be read: {error!r}") from error
    finally:
        await to_the_end(consumer.stop())
    if value is None:
        return None
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("seen_log_unreadable", topic=topic, cause=str(error))
        return None


async def write_seen_log(connection: KafkaConnection, topic: str, seen: SeenLog) -> None:
    """Keep it in place of what was. The topic must exist. LogUnavailableError."""
    producer = clients.producer(**connection.client_options(), acks="all")
    try:
        await to_the_end(producer.start())
        async with asyncio.timeout(READ_SECONDS_MAX):
            await producer.send_and_wait(topic, msgspec.json.encode(seen), _KEY, partition=0)
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailableError(f"what is known of the log could not be kept: {error!r}") from error
    finally:
        await to_the_end(stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX))
