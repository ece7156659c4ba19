"""Asking about a topic never makes it, not even on a broker that makes every topic that is asked about."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from confluent_kafka import KafkaError as LibrdkafkaError
from confluent_kafka import TopicPartition

from hotswap_events.inference.answers import AnswerTags
from hotswap_events.inference.fleet import FleetRecord
from hotswap_events.inference.observation import Feedback
from hotswap_events.topics import Topics
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.fleet_follower import FleetFollower
from hotswap_stream.adapters.kafka.inference.recorded import read_exchange
from hotswap_stream.adapters.kafka.observations.answer_lookup import KafkaAnswerLookup
from hotswap_stream.adapters.kafka.observations.history import KafkaRecordedHistory
from hotswap_stream.adapters.kafka.publisher import KafkaPublisher
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import topic_partitions, topics_of
from hotswap_stream.adapters.kafka.webhook_place import KafkaWebhookPlace, webhook_positions
from hotswap_stream.agents.faust_app import FaustAgents
from hotswap_stream.application.topics.records import InboundRecord, OutboundRecord
from hotswap_stream.errors import HotswapError
from hotswap_stream.kafka.connection import KafkaConnection
from hotswap_stream.kafka.librdkafka import tail_consumer
from hotswap_stream.kafka.unreadable_batches import reading_on
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.fleet import Fleet
from hotswap_stream.workers.inference.kafka_clients import answer_producer, reply_producer, request_consumer
from hotswap_stream.workers.inference.limits import LoopLimits
from hotswap_stream.workers.inference.windows.reading import TopicReader

SECONDS = 3.0
"""How long a client may go on asking; the topic would be there after the first question."""

Ask: TypeAlias = Callable[[KafkaConnection, str], Awaitable[object]]
"""A question to a cluster about a topic that is not there."""


@pytest.fixture
def cluster(generous: str) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=generous)


def _settings(connection: KafkaConnection, prefix: str, home: Path) -> Settings:
    return Settings(kafka_bootstrap_servers=connection.bootstrap_servers, topic_prefix=prefix, home=home)


async def topic_admin(connection: KafkaConnection, topic: str) -> None:
    assert await topic_partitions(connection, [topic]) == {}


async def registry_log(connection: KafkaConnection, topic: str) -> None:
    log = KafkaRegistryLog(connection, topic)
    await log.start()
    try:
        await asyncio.gather(_first_page(log), log.end_offset(), log.append(b"m", [b"v"]))
    finally:
        await log.stop()


async def _first_page(log: KafkaRegistryLog) -> None:
    async for _page in log.follow(0):
        return


async def fleet_follower(connection: KafkaConnection, topic: str) -> None:
    async with FleetFollower(connection.client_options(), topic):
        await asyncio.sleep(SECONDS)


async def worker_fleet(connection: KafkaConnection, topic: str) -> None:
    fleet = Fleet(connection.client_options(), topic, "w1")
    await fleet.start()
    try:
        fleet.report(FleetRecord(worker="w1", model_name="m", registry_offset=0, versions={}))
        await asyncio.sleep(SECONDS)
    finally:
        await fleet.stop()


async def publisher(connection: KafkaConnection, topic: str) -> None:
    async with KafkaPublisher(connection.client_options()) as publisher:
        await publisher.publish(OutboundRecord(topic=topic, key=b"k", value=b"v", headers=()))


async def exchange(connection: KafkaConnection, topic: str) -> None:
    names = Topics(topic.partition(".")[0])
    tags = AnswerTags(names.prefix)
    await read_exchange(connection.client_options(), names, "m", partition=0, offset=0, tags=tags)


async def webhook_place(connection: KafkaConnection, topic: str) -> None:
    async with KafkaWebhookPlace(connection.client_options(), topic, "group") as place:
        await place.read()
        await webhook_positions(connection.client_options(), topic, ["group"])


async def faust(connection: KafkaConnection, topic: str) -> None:
    agents = FaustAgents(connection, group="not-there", instance="1", table_topic=f"{topic}.table")

    async def nothing(_record: InboundRecord) -> None:
        return

    agents.consume(topic, nothing)
    starting = asyncio.create_task(agents.start())
    await asyncio.sleep(2 * SECONDS)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await agents.stop()


async def librdkafka(connection: KafkaConnection, topic: str) -> None:
    await asyncio.to_thread(_librdkafka, connection, topic)


def _librdkafka(connection: KafkaConnection, topic: str) -> None:
    options, limits = connection.librdkafka_options(), LoopLimits()

    def ignore(_error: LibrdkafkaError) -> None:
        return

    for producer in (
        answer_producer(options, worker="w1", limits=limits, linger_ms=0, on_error=ignore),
        reply_producer(options, worker="w1", limits=limits),
    ):
        producer.produce(topic, b"v", partition=0)
        producer.flush(SECONDS)
        producer.purge()
        producer.flush(1.0)
    subscribed = request_consumer(options, group="not-there", worker="w1", limits=limits, on_error=ignore)
    assigned = tail_consumer(options, "w1")
    read_on, stopping = reading_on(connection.client_options()), threading.Event()
    assert not TopicReader(assigned, read_on=read_on, stopping=stopping).exists(topic)
    subscribed.subscribe([topic])
    assigned.assign([TopicPartition(topic, 0, 0)])
    for consumer in (subscribed, assigned):
        consumer.poll(SECONDS)
        consumer.close()


ASKS: tuple[Ask, ...] = (
    topic_admin,
    registry_log,
    fleet_follower,
    worker_fleet,
    publisher,
    exchange,
    webhook_place,
    faust,
    librdkafka,
)


async def test_no_client_of_a_topic_that_is_not_there_makes_it(cluster: KafkaConnection, topic_prefix: str) -> None:
    """`describe` and any client's questions about a topic made it, with the broker's settings."""

    async def asked(ask: Ask) -> None:
        with suppress(KafkaError, HotswapError, TimeoutError):
            async with asyncio.timeout(3 * SECONDS):
                await ask(cluster, f"{topic_prefix}.{ask.__name__}")

    await asyncio.gather(*map(asked, ASKS))
    assert await topics_of(cluster, topic_prefix) == frozenset()


async def test_questions_about_a_model_that_is_not_there_make_no_topics(
    cluster: KafkaConnection, topic_prefix: str, tmp_path: Path
) -> None:
    settings = _settings(cluster, topic_prefix, tmp_path)
    gateway = bootstrap.inference_gateway(settings, in_flight_max=1)
    history = KafkaRecordedHistory(
        {**cluster.client_options(), "request_timeout_ms": int(SECONDS * 1_000)}, bootstrap.topics(settings)
    )
    given = Feedback(model_name="nobody", feedback_id="f", request_id="r", label=1, at=datetime.now(UTC))

    async def read_history() -> None:
        async for _recorded in history.read("nobody", datetime.now(UTC), None):
            return

    async with (
        KafkaAnswerLookup(cluster.client_options(), bootstrap.topics(settings)) as lookup,
        bootstrap.request_lag(settings) as lag,
        bootstrap.feedback_log(settings) as feedback,
    ):
        asked = [
            lookup.by_place("nobody", 0, 0),
            lookup.by_id("nobody", "r"),
            lag.waiting({"nobody": 0.0}),
            bootstrap.window_reader(settings).read("nobody"),
            gateway.ask("nobody", b"{}", [], timeout_s=SECONDS, series="s"),
            bootstrap.fleet(settings),
            read_history(),
            feedback.append([given]),
        ]

        async def settled(question: Coroutine[Any, Any, object]) -> None:
            with suppress(KafkaError, HotswapError, TimeoutError):
                async with asyncio.timeout(2 * SECONDS):
                    await question

        await asyncio.gather(*map(settled, asked))
    await gateway.close()
    assert await topics_of(cluster, topic_prefix) == frozenset()


async def test_the_broker_does_make_topics_for_others(cluster: KafkaConnection, topic_prefix: str) -> None:
    """Otherwise the tests above could not fail."""
    producer = AIOKafkaProducer(**cluster.client_options())
    await producer.start()
    try:
        await producer.send_and_wait(f"{topic_prefix}.made", b"v")
    finally:
        await producer.stop()
    assert await topics_of(cluster, topic_prefix) == {f"{topic_prefix}.made"}
