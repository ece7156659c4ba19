"""Records as a hostile client sends them: bytes that no Python client would write."""

from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

_CRC_AT, _CHECKED_FROM = 17, 21
PLACEHOLDER = "XXXX"
NO_TEXT = b"\xff\xfe\xc0\x80"
"""As long as the placeholder, and no UTF-8."""


async def send_with_a_nameless_header(
    servers: str, topic: str, *, key: bytes | None, value: bytes | None, partition: int = 0
) -> int:
    """A record that has a header whose name is no UTF-8; its offset."""
    return await _send(servers, topic, partition, key, value, [(PLACEHOLDER, b"1")])


async def send_compressed(servers: str, topic: str, *, key: bytes, value: bytes, codec: str, partition: int = 0) -> int:
    """A record in a batch of its own, compressed."""
    return await _send(servers, topic, partition, key, value, [], compression_type=codec)


async def _send(
    servers: str,
    topic: str,
    partition: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
    **options: Any,
) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=servers, max_batch_size=16 * 1024**2, **options)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=key, value=value, timestamp=None, headers=list(headers))
        built = bytearray(bytes(batch._build()).replace(PLACEHOLDER.encode(), NO_TEXT))
        built[_CRC_AT:_CHECKED_FROM] = calc_crc32c(bytes(built[_CHECKED_FROM:])).to_bytes(4, "big")
        batch._buffer = built
        metadata = await (await producer.send_batch(batch, topic, partition=partition))
        return int(metadata.offset)
    finally:
        await producer.stop()
