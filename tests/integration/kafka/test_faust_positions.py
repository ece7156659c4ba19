"""What Faust fetched and dropped is read again, also where this group has never committed anything."""

import asyncio

from aiokafka import AIOKafkaProducer
from faust.types import TP

from hotswap_events.topics import TopicSpec
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.agents.faust_app import FaustAgents
from hotswap_stream.application.topics.records import InboundRecord
from hotswap_stream.kafka.connection import KafkaConnection

RECORDS = 5
SECONDS_MAX = 30.0


async def test_what_was_dropped_before_the_first_commit_is_read_again(kafka: str, topic_prefix: str) -> None:
    connection = KafkaConnection(bootstrap_servers=kafka)
    topic, table = f"{topic_prefix}.told", f"{topic_prefix}.table"
    specs = (
        TopicSpec(name=topic, partitions=1, cleanup_policy="delete", retention_ms=3_600_000),
        TopicSpec(name=table, partitions=1, cleanup_policy="compact", retention_ms=-1),
    )
    await ensure_topics(connection, specs)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(RECORDS):
            await producer.send_and_wait(topic, str(number).encode())
    going, handled = asyncio.Event(), list[int]()

    async def handle(record: InboundRecord) -> None:
        await going.wait()
        handled.append(record.offset)

    agents = FaustAgents(connection, group=topic_prefix, instance=f"{topic_prefix}-1", table_topic=table)
    agents.consume(topic, handle)
    place = TP(topic, 0)
    async with asyncio.timeout(SECONDS_MAX):
        await agents.start()
        try:
            consumer = agents._app.consumer
            thread = consumer._thread  # type: ignore[attr-defined]  # of every driver
            while thread.fetch_position(place) != RECORDS:
                await asyncio.sleep(0.05)
            # As Faust does with what it fetched while it restores a table: its queues are emptied, then it goes back.
            consumer.stop_flow()
            agents._app.flow_control.clear()
            await consumer.perform_seek()
            assert thread.fetch_position(place) in (0, None)
            consumer.resume_flow()
            agents._app.flow_control.resume()
            going.set()
            while set(handled) != set(range(RECORDS)):
                await asyncio.sleep(0.05)
        finally:
            going.set()
            await agents.stop()
