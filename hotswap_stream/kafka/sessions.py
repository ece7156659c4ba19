"""Kafka clients for as long as a block runs: started, and ended whatever happens in it.

A caller that is cancelled while a client starts or ends is cancelled after that, so that no connection stays open.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from hotswap_stream.kafka import clients
from hotswap_stream.kafka.consumer_end import end_consumer
from hotswap_stream.kafka.producer_stop import stop_producer
from hotswap_stream.kafka.uncancelled import to_the_end


@asynccontextmanager
async def open_reader(client_options: Mapping[str, Any], *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Open a consumer outside any group, which begins at a partition's first record unless it is told otherwise.

    Args:
        client_options: How to reach the cluster; see `KafkaConnection.client_options`.
        topics: Topics to subscribe to, so that the consumer knows their partitions. None: it is assigned partitions.

    Raises:
        KafkaError: The cluster cannot be reached.
    """
    consumer = clients.consumer(*topics, **client_options, group_id=None, auto_offset_reset="earliest")
    try:
        await to_the_end(consumer.start())
        yield consumer
    finally:
        await to_the_end(end_consumer(consumer))


@asynccontextmanager
async def open_producer(
    client_options: Mapping[str, Any], *, flush_seconds_max: float
) -> AsyncIterator[AIOKafkaProducer]:
    """Open a producer whose records are confirmed by all replicas in sync.

    Args:
        client_options: How to reach the cluster; see `KafkaConnection.client_options`.
        flush_seconds_max: How long records on their way may hold up the end.

    Raises:
        KafkaError: The cluster cannot be reached.
    """
    producer = clients.producer(**client_options, acks="all")
    try:
        await to_the_end(producer.start())
        yield producer
    finally:
        await to_the_end(stop_producer(producer, flush_seconds_max=flush_seconds_max))


async def started_producer(client_options: Mapping[str, Any], **options: Any) -> AIOKafkaProducer:
    """Return a producer that runs, for whoever keeps it; end it with `stop_producer`.

    Args:
        client_options: How to reach the cluster; see `KafkaConnection.client_options`.
        options: Others of aiokafka's.

    Raises:
        KafkaError: The cluster cannot be reached. Nothing is left open.
    """
    producer = clients.producer(**client_options, acks="all", **options)
    try:
        await to_the_end(producer.start())
    except BaseException:
        await to_the_end(producer.stop())
        raise
    return producer


@asynccontextmanager
async def open_admin(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open an admin client. KafkaError."""
    admin = clients.admin_client(**client_options)
    try:
        await to_the_end(admin.start())
        yield admin
    finally:
        await to_the_end(admin.close())
