"""The logs the contract suites run against: one in memory, one on a real Kafka."""

from collections.abc import Callable

from hotswap_events.topics import Topics
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.kafka.connection import KafkaConnection

OpenLog = Callable[[], RegistryLog]
"""One more process's access to the same log, not started."""


def memory_log() -> OpenLog:
    """An empty log in memory."""
    shared = MemoryRegistry(SystemClock())
    return lambda: MemoryRegistryLog(shared)


async def kafka_log(bootstrap_servers: str, topic_prefix: str) -> OpenLog:
    """An empty log on Kafka, its topic created."""
    connection = KafkaConnection(bootstrap_servers=bootstrap_servers)
    topics = Topics(topic_prefix)
    await ensure_topics(connection, [spec for spec in topics.control_specs() if spec.name == topics.registry])
    return lambda: KafkaRegistryLog(connection, topics.registry)
