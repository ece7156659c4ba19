"""Where many requests wait, partitions take turns: none waits until another has been answered to its end."""

import asyncio
from collections import Counter

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from hotswap_stream import bootstrap
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.kafka_clients import PARTITION_FETCH_BYTES_MAX, request_consumer
from hotswap_stream.workers.inference.limits import LoopLimits
from tests.support.stages.serving import MODEL, PARTITIONS

REQUEST_BYTES = 1_000
WAITING = 2_000
"""Requests of each partition: two megabytes, which one answer of a broker could hold."""
LARGE_BYTES = 3 * 1024**2
SECONDS_MAX = 60.0


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    return Settings(kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix, request_partitions=PARTITIONS)


def _consumer(settings: Settings) -> Consumer:
    options = bootstrap.connection(settings).librdkafka_options()
    return request_consumer(
        options, group="turns", worker="w1", limits=LoopLimits(), on_error=lambda error: pytest.fail(str(error))
    )


def _first_half(settings: Settings, topic: str) -> Counter[int]:
    """How many requests of each partition are among the first half of all that a worker is given."""
    options = bootstrap.connection(settings).librdkafka_options()
    producer = Producer({**options, "batch.size": PARTITION_FETCH_BYTES_MAX // 8})
    for _ in range(WAITING):
        for partition in range(PARTITIONS):
            producer.produce(topic, b"x" * REQUEST_BYTES, partition=partition)
        producer.poll(0)
    assert producer.flush(SECONDS_MAX) == 0
    consumer = _consumer(settings)
    found: Counter[int] = Counter()
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        while found.total() < WAITING * PARTITIONS // 2:
            messages = consumer.consume(128, SECONDS_MAX)
            assert messages
            found.update(message.partition() or 0 for message in messages)
    finally:
        consumer.close()
    return found


async def test_no_partition_waits_for_the_end_of_another(settings: Settings) -> None:
    await bootstrap.model_topics_creator(settings)(MODEL)
    topic = bootstrap.topics(settings).requests(MODEL)
    found = await asyncio.to_thread(_first_half, settings, topic)
    assert max(found.values()) < WAITING
    assert len(found) == PARTITIONS


def _sizes(settings: Settings, topic: str) -> dict[int, list[int]]:
    """What a worker is given of each partition, where some requests are larger than a turn."""
    vast = [LARGE_BYTES, REQUEST_BYTES, LARGE_BYTES, LARGE_BYTES]
    sizes = {partition: vast if partition % 2 else [REQUEST_BYTES] * WAITING for partition in range(PARTITIONS)}
    producer = Producer({**bootstrap.connection(settings).librdkafka_options(), "message.max.bytes": 2 * LARGE_BYTES})
    for partition, wanted in sizes.items():
        for size in wanted:
            producer.produce(topic, b"x" * size, partition=partition)
        producer.poll(0)
    assert producer.flush(SECONDS_MAX) == 0
    consumer = _consumer(settings)
    found: dict[int, list[int]] = {partition: [] for partition in sizes}
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in sizes])
        while sum(map(len, found.values())) < sum(map(len, sizes.values())):
            message = consumer.poll(SECONDS_MAX)
            assert message is not None
            found[message.partition() or 0].append(len(message.value() or b""))
    finally:
        consumer.close()
    assert found == sizes
    return found


async def test_a_request_that_is_larger_than_a_turn_comes_whole_and_in_its_order(settings: Settings) -> None:
    await bootstrap.model_topics_creator(settings)(MODEL)
    topic = bootstrap.topics(settings).requests(MODEL)
    found = await asyncio.to_thread(_sizes, settings, topic)
    assert LARGE_BYTES in found[1]
