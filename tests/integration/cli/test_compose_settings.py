"""The broker settings of docker-compose.kafka.yml, given to a real cluster of three: Kafka knows every one of them."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import UnknownTopicOrPartitionError

from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.kafka.connection import KafkaConnection
from tests.support.checkout import ROOT

_DIFFERS_HERE = re.compile(r"node\.id|process\.roles|controller\..*|.*listener.*|log\.dirs|heap\.opts")
"""Addresses, folders and the heap: a container has its own, loopback has its own."""


def _compose_settings() -> dict[str, str]:
    """As the image translates its environment: KAFKA_MIN_INSYNC_REPLICAS is min.insync.replicas."""
    compose = yaml.safe_load((ROOT / "docker-compose.kafka.yml").read_text(encoding="utf-8"))
    environment: Mapping[str, Any] = compose["services"]["kafka-1"]["environment"]
    named = {
        key.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for key, value in environment.items()
        if key.startswith("KAFKA_")
    }
    return {name: value for name, value in named.items() if not _DIFFERS_HERE.fullmatch(name)}


@pytest.fixture
async def connection() -> AsyncIterator[KafkaConnection]:
    async with EmbeddedKafka(nodes=3, kafka_options=_compose_settings()) as cluster:
        yield KafkaConnection(bootstrap_servers=cluster.bootstrap_servers)


def _entries(response: Any) -> dict[str, str]:
    return {entry[0]: entry[1] for resource in response.resources for entry in resource[4]}


async def test_kafka_takes_the_settings_and_the_topics(connection: KafkaConnection) -> None:
    specs = Topics().control_specs()
    await ensure_topics(connection, specs)
    admin = AIOKafkaAdminClient(**connection.client_options())
    await admin.start()
    try:
        for node in ("1", "2", "3"):
            (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, node)])
            in_force = _entries(response)
            assert {name: in_force.get(name) for name in _compose_settings()} == _compose_settings()
        described = {topic["topic"]: topic for topic in await admin.describe_topics([spec.name for spec in specs])}
        for spec in specs:
            partitions = described[spec.name]["partitions"]
            assert len(partitions) == spec.partitions
            assert all(len(partition["replicas"]) == spec.replicas for partition in partitions)
            (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, spec.name)])
            in_force = _entries(response)
            wanted = spec.config(brokers=3)
            assert {name: in_force[name] for name in wanted} == wanted
    finally:
        await admin.close()
    await _refuses_a_misspelt_topic(connection)


async def _refuses_a_misspelt_topic(connection: KafkaConnection) -> None:
    producer = AIOKafkaProducer(**connection.client_options(), request_timeout_ms=2_000)
    await producer.start()
    try:
        with pytest.raises(UnknownTopicOrPartitionError):
            await producer.send_and_wait("hotswap.registri", b"lost")
    finally:
        await producer.stop()
