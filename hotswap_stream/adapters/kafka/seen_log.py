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
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.reading import read_all
from hotswap_stream.kafka.sessions import open_producer, open_reader

READ_SECONDS_MAX = 30.0
FLUSH_SECONDS_MAX = 5.0
_KEY = LOG_STREAM.encode()

_log = structlog.get_logger(__name__)
_decoder = msgspec.json.Decoder(SeenLog)


async def read_seen_log(connection: KafkaConnection, topic: str) -> SeenLog | None:
    """Return what was kept last; None when there is nothing, or nothing that reads.

    Raises:
        LogUnavailableError: The topic, which must exist, cannot be read.
    """
    value = None
    try:
        async with open_reader(connection.client_options()) as consumer, asyncio.timeout(READ_SECONDS_MAX):
            async for _partition, records in read_all(consumer, [TopicPartition(topic, 0)]):
                for record in records:
                    value = record.value if record.key == _KEY else value
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailableError(f"what the agents saw of the log could not be read: {error!r}") from error
    if value is None:
        return None
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        _log.warning("seen_log_unreadable", topic=topic, cause=str(error))
        return None


async def write_seen_log(connection: KafkaConnection, topic: str, seen: SeenLog) -> None:
    """Keep `seen` in place of what was.

    Raises:
        LogUnavailableError: The topic, which must exist, cannot be written to.
    """
    try:
        async with (
            open_producer(connection.client_options(), flush_seconds_max=FLUSH_SECONDS_MAX) as producer,
            asyncio.timeout(READ_SECONDS_MAX),
        ):
            await producer.send_and_wait(topic, msgspec.json.encode(seen), _KEY, partition=0)
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailableError(f"what is known of the log could not be kept: {error!r}") from error
