"""Ending a producer within a time, with a broker or without."""

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError


async def stop_producer(producer: AIOKafkaProducer, *, flush_seconds_max: float) -> None:
    """Stop the producer, and wait at most `flush_seconds_max` for what it still sends.

    `stop` waits until all batches are sent, which an idempotent producer tries for ever.
    """
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.wait({stopping}, timeout=flush_seconds_max)
    stopping.cancel()
    with suppress(asyncio.CancelledError, KafkaError):
        await stopping
    with suppress(KafkaError):  # what a `stop` that was cut short leaves open
        await producer._sender.close()
    await producer.client.close()
