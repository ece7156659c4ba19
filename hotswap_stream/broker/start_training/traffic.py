"""What our clients do first, done once to a broker in training, so that the code for it is in the start cache."""

import asyncio
import contextlib
import uuid
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from hotswap_stream.broker.errors import BrokerStartError

_MESSAGES = 200
_POLL_S = 0.02


async def send_and_receive(bootstrap_servers: str, timeout_s: float) -> None:
    """Make a topic, send to it, and read and commit as a group.

    Raise BrokerStartError when the broker does not serve.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await _send_and_receive(bootstrap_servers)
    except (TimeoutError, KafkaError) as error:
        raise BrokerStartError(f"the training run of the broker did not serve: {error!r}") from error


async def _send_and_receive(bootstrap_servers: str) -> None:
    topic = f"training-{uuid.uuid4().hex}"
    async with contextlib.AsyncExitStack() as stack:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
        await admin.start()
        stack.push_async_callback(admin.close)
        configs = {"cleanup.policy": "compact"}
        await admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1, topic_configs=configs)])
        while not _has_leaders(await admin.describe_topics([topic])):  # else the clients log warnings for nothing
            await asyncio.sleep(_POLL_S)
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
        await producer.start()
        stack.push_async_callback(producer.stop)
        for number in range(_MESSAGES):
            await producer.send_and_wait(topic, b"value", key=b"key", partition=number % 2)
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap_servers, group_id=topic, auto_offset_reset="earliest"
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        received = 0
        while received < _MESSAGES:
            received += sum(len(records) for records in (await consumer.getmany(timeout_ms=1_000)).values())
        await consumer.commit()


def _has_leaders(described: list[dict[str, Any]]) -> bool:
    return all(
        topic["error_code"] == 0 and topic["partitions"] and all(part["leader"] >= 0 for part in topic["partitions"])
        for topic in described
    )
