"""Ending a consumer within a time, with a broker or without."""

import asyncio
from contextlib import suppress

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

STOP_SECONDS_MAX = 5.0
"""A member of a group says goodbye to its coordinator; without a broker it would try for ever."""


async def end_consumer(consumer: AIOKafkaConsumer, *, seconds_max: float = STOP_SECONDS_MAX) -> None:
    """Stop the consumer and close its connections, even if `stop` takes too long or breaks off.

    Without a broker, aiokafka's `stop` now and then ends in the cancellation of one of its own tasks, and leaves the
    rest undone.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait({stopping}, timeout=seconds_max)
    stopping.cancel()
    await asyncio.wait({stopping})
    if not stopping.cancelled():
        with suppress(KafkaError):
            stopping.result()
    await consumer._client.close()
