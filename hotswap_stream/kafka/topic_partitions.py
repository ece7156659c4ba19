"""Which partitions topics have, and which brokers there are.

Asking makes no topic, as no client of this package makes one. So topics are asked for by name: an answer about all of
them takes time that grows with the cluster, and aiokafka reads it in Python.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NodeNotReadyError
from aiokafka.partitioner import murmur2

from hotswap_stream.kafka.sessions import open_admin

ASKED_TIMES_MAX = 8
PAUSE_SECONDS = 0.2


async def described_partitions(admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Ask for the partitions of those of the topics that exist.

    Returns:
        Topic → its partitions, each with `partition` (its number), `leader`, `replicas`, `isr` and `error_code`.

    Raises:
        KafkaError: The cluster cannot be asked.
    """
    found = await _described(admin, list(topics)) if topics else []
    return {topic["topic"]: topic["partitions"] for topic in found if not topic["error_code"]}


async def _described(admin: AIOKafkaAdminClient, topics: list[str]) -> list[dict[str, Any]]:
    """Ask again where no connection to a broker was made, busy or away: the client asks any, and gives up after one."""
    for _again in range(ASKED_TIMES_MAX - 1):
        try:
            return list(await admin.describe_topics(topics))
        except NodeNotReadyError:
            await asyncio.sleep(PAUSE_SECONDS)
    return list(await admin.describe_topics(topics))


async def broker_ids(admin: AIOKafkaAdminClient) -> frozenset[int]:
    """Ask which brokers there are, and about no topic: `describe_cluster` would be told of all. KafkaError."""
    return frozenset(broker[0] for broker in (await admin._get_cluster_metadata([])).brokers)


async def partition_numbers(client_options: Mapping[str, Any], topic: str) -> frozenset[int]:
    """Return the numbers of the topic's partitions; none if there is no such topic. KafkaError."""
    async with open_admin(client_options) as admin:
        described = await described_partitions(admin, [topic])
    return frozenset(partition["partition"] for partition in described.get(topic, ()))


def key_partition(key: bytes, partitions: int) -> int:
    """Return the partition of a key in a topic with this number of partitions."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions


def former_partitions(partition: int, partitions: int) -> tuple[int, ...]:
    """Return where keys of a partition were, when the topic had fewer partitions: a divisor of today's number.

    In rising order, which is the order of the growth: a key stays, or goes to a partition that was not there before.
    """
    found = {partition % number for number in range(1, partitions) if partitions % number == 0}
    return tuple(sorted(found - {partition}))


def home_partitions(key: bytes, partitions: int) -> frozenset[int]:
    """Return the partition of a key, and those where it was when the topic had fewer partitions."""
    home = key_partition(key, partitions)
    return frozenset((home, *former_partitions(home, partitions)))
