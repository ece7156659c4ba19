"""The registry log of both kinds: in memory, and on the real broker."""

from collections.abc import AsyncIterator, Callable

import pytest

from hotswap_events.topics import Topics
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.log.port import RegistryLog
from hotswap_stream.kafka.connection import KafkaConnection


@pytest.fixture(params=["memory", "kafka"])
async def new_log(request: pytest.FixtureRequest, topic_prefix: str) -> AsyncIterator[Callable[[], RegistryLog]]:
    """A function that gives another process's access to one log, not started."""
    if request.param == "memory":
        shared = MemoryRegistry(SystemClock())
        yield lambda: MemoryRegistryLog(shared)
        return
    connection = KafkaConnection(bootstrap_servers=request.getfixturevalue("kafka"))
    topic = Topics(topic_prefix).registry
    await ensure_topics(connection, [spec for spec in Topics(topic_prefix).control_specs() if spec.name == topic])
    yield lambda: KafkaRegistryLog(connection, topic)
