"""What a worker that died has left: its place in the groups, given to others before the same worker can answer again.

A worker that is started again needs seconds until it can answer: its code, the registry, its models. Other members of
its groups answer meanwhile, as when it had left. When it has loaded its models it joins like any other.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from hotswap_events.topics import Topics
from hotswap_stream.kafka import clients
from hotswap_stream.kafka.leave_group import leave_where_others_are
from hotswap_stream.kafka.producer_stop import stop_producer

_log = structlog.get_logger(__name__)

SECONDS_MAX = 2.0
"""Without it the worker takes the place of its former self when it joins."""
FLUSH_SECONDS_MAX = 1.0


async def put_out_former_self(client_options: Mapping[str, Any], topics: Topics, worker: str) -> None:
    """Give what the worker of this name had to others, where there are any, and say on the fleet topic that it is gone.

    Call it before anything else, and before the worker joins a group. What does not work is left as it is.
    """
    prefix = topics.workers_group("")
    try:
        async with asyncio.timeout(SECONDS_MAX):
            left = await leave_where_others_are(client_options, prefix, worker)
            if left:
                _log.info("former_self_put_out", worker=worker, groups=len(left))
                await _say_goodbye(client_options, topics, worker, [group.removeprefix(prefix) for group in left])
    except (KafkaError, TimeoutError) as error:
        _log.warning("former_self_not_put_out", worker=worker, error=repr(error))


async def _say_goodbye(client_options: Mapping[str, Any], topics: Topics, worker: str, model_names: list[str]) -> None:
    """Take back what it said, so that nobody waits for a word of it."""
    producer = clients.producer(**client_options, acks="all", linger_ms=0)
    try:
        await producer.start()
        sent = [
            await producer.send(topics.fleet, None, f"{worker}/{model_name}".encode(), partition=0)
            for model_name in model_names
        ]
        await asyncio.gather(*sent)
    finally:
        with suppress(KafkaError):
            await stop_producer(producer, flush_seconds_max=FLUSH_SECONDS_MAX)
