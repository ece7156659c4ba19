"""Transactions of other clients at the beginning, in the middle and at the end of every topic that is read to an end:
processes start, read what was committed, and wait for nothing."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from hotswap_events.commands import SwitchVersion
from hotswap_events.inference.observation import Feedback
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.fleet_follower import FleetFollower, read_fleet
from hotswap_stream.adapters.kafka.inference.recorded import read_exchange
from hotswap_stream.adapters.kafka.observations.history import KafkaRecordedHistory
from hotswap_stream.adapters.kafka.window_reader import KafkaWindowReader
from hotswap_stream.agents.topics import analysis_topic, stream_heads_topic
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.kafka.librdkafka import tail_consumer
from hotswap_stream.kafka.unreadable_batches import reading_on
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.places.checkpoint import Tails
from hotswap_stream.workers.inference.windows.reading import TopicReader
from tests.support.kafka.transactions import open_transaction, transaction
from tests.support.stages.agents import agents_stage
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, open_stage, request_body, stage_settings

SECONDS_MAX = 60.0
"""A reader that waits for what never comes gives up before, and says so."""


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        await stage.switch(await stage.register_answering(1.0))
        yield stage


async def test_a_worker_answers_though_its_topics_begin_and_end_with_markers(
    stage: Stage, settings: Settings, kafka: str
) -> None:
    """Requests, responses and fleet: each with an aborted transaction before, between and behind the records."""
    names = stage.topics
    topics = (names.requests(MODEL), names.responses(MODEL), names.fleet)

    async def foreign() -> None:
        for topic in topics:
            await transaction(kafka, topic, b"taken back")

    for round_number in (1, 2):
        await foreign()
        worker = await bootstrap.build_worker(settings, "w1")
        async with asyncio.timeout(60):
            await worker.start()
            try:
                offset = await stage.send(request_body(f"r{round_number}"))
                await foreign()
                async with bootstrap.answer_lookup(settings) as lookup:
                    while await lookup.by_place(MODEL, 0, offset) is None:
                        await asyncio.sleep(0.05)
                async with TopicClient(kafka, prefix=names.prefix) as client:
                    answer = await client.infer(MODEL, {"x": [[1.0, 2.0, 3.0, 4.0]]})
                    assert answer.model_version == "v1"
                    await client.feedback(
                        MODEL, request_partition=answer.partition, request_offset=answer.offset, label=0
                    )
            finally:
                await worker.stop()
    await foreign()

    async with asyncio.timeout(60):
        options, tags = bootstrap.connection(settings).client_options(), bootstrap.answer_tags(settings)
        consumer = tail_consumer(bootstrap.connection(settings).librdkafka_options(), "w1")
        tails = Tails(
            consumer,
            request_topic=names.requests(MODEL),
            response_topic=names.responses(MODEL),
            tags=tags.of(MODEL),
            read_on=reading_on(options),
        )
        found = await asyncio.to_thread(tails.read, [0], wanted=lambda: [0])
        consumer.close()
        assert found[0].offset >= offset
        exchange = await read_exchange(options, names, MODEL, partition=0, offset=offset, tags=tags)
        assert exchange.request.value == request_body("r2")
        async with bootstrap.answer_lookup(settings) as lookup:
            by_place = await lookup.by_place(MODEL, 0, offset)
            assert by_place is not None
            assert by_place.request_id == "r2"
            assert await lookup.by_place(MODEL, 0, offset + 1_000) is None, "behind the last marker"
            by_id = await lookup.by_id(MODEL, "r1")
            assert by_id is not None
        async with bootstrap.request_lag(settings) as lag:
            assert (await lag.waiting({MODEL: 0.0}))[MODEL].requests == 0, "markers wait for no answer"


async def test_a_marker_is_no_request_that_waits(stage: Stage, settings: Settings, kafka: str) -> None:
    topic = stage.topics.requests(MODEL)
    async with bootstrap.request_lag(settings) as lag:
        for _number in range(3):
            await transaction(kafka, topic, b"taken back")
        assert (await lag.waiting({MODEL: 0.0}))[MODEL].requests == 0
        await stage.send(request_body())
        assert (await lag.waiting({MODEL: 0.0}))[MODEL].requests == 1


async def test_the_fleet_is_read_to_its_end(settings: Settings, kafka: str) -> None:
    await bootstrap.ensure_control_topics(settings)
    fleet, options = bootstrap.topics(settings).fleet, bootstrap.connection(settings).client_options()
    await transaction(kafka, fleet, b"taken back", key=b"w/m")
    async with asyncio.timeout(SECONDS_MAX):
        assert not (await read_fleet(options, fleet)).workers("m", 0.0)
        async with open_transaction(kafka, fleet, b"open", key=b"w/m"):
            await read_fleet(options, fleet)
            async with FleetFollower(options, fleet) as follower:
                while not follower.known:
                    await asyncio.sleep(0.02)


async def test_windows_are_read_to_their_end(stage: Stage, settings: Settings, kafka: str) -> None:
    await bootstrap.model_topics_creator(settings, windows=True)(MODEL)
    topic = stage.topics.windows(MODEL)
    for partition in range(PARTITIONS):
        await transaction(kafka, topic, b"taken back", key=b"k", partition=partition)
    async with asyncio.timeout(SECONDS_MAX):
        options = bootstrap.connection(settings).client_options()
        folds = await KafkaWindowReader(options, stage.topics).read(MODEL)
        assert set(folds) == set(range(PARTITIONS))

        def read() -> int:
            librdkafka_options = bootstrap.connection(settings).librdkafka_options()
            read_on, stopping = reading_on(options), threading.Event()
            consumer = tail_consumer(librdkafka_options, "w1")
            reader = TopicReader(consumer, read_on=read_on, stopping=stopping)
            reader.windows(topic, list(range(PARTITIONS)))
            taken: list[int] = []
            reader.between(topic, {0: (0, 2)}, lambda message: taken.append(message.offset() or 0))
            consumer.close()
            return len(taken)

        assert await asyncio.to_thread(read) == 0


async def test_recorded_feedback_is_read_to_its_end(settings: Settings, kafka: str) -> None:
    await bootstrap.ensure_control_topics(settings)
    topics = bootstrap.topics(settings)
    record = Feedback(model_name=MODEL, feedback_id="f", request_id="r", label=1, at=datetime.now(UTC))
    async with bootstrap.feedback_log(settings) as log:
        for partition in range(4):
            for topic in (topics.feedback, topics.observations):
                await transaction(kafka, topic, b"taken back", key=MODEL.encode(), partition=partition)
        await log.append([record])
        for partition in range(4):
            for topic in (topics.feedback, topics.observations):
                await transaction(kafka, topic, b"taken back", key=MODEL.encode(), partition=partition)
    history = KafkaRecordedHistory(bootstrap.connection(settings).client_options(), topics)
    async with asyncio.timeout(SECONDS_MAX):
        since = datetime.now(UTC) - timedelta(hours=1)
        found = [recorded.value async for recorded in history.read(MODEL, since, None)]
    assert found == [record]


async def test_agents_start_though_every_topic_of_theirs_ends_with_a_marker(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """Restoring a table waited for ever for the record before the end of its changelog."""
    settings = stage_settings(kafka, topic_prefix, tmp_path)
    await bootstrap.ensure_control_topics(settings)
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    names = bootstrap.topics(settings)
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        async with agents_stage(kafka, topic_prefix, tmp_path / "first") as agents:
            first = SwitchVersion(command_id="first", actor="test", model_name=MODEL, model_version="v1")
            await agents.send([first])
            assert (await agents.results(["first"]))["first"][0].status == "accepted"
            await agents.published_like_the_fold()
        for topic, partitions in (
            (names.registry, 1),
            (names.commands, 4),
            (names.observations, 4),
            (names.feedback, 4),
            (stream_heads_topic(names), 1),
            (analysis_topic(names), 4),
        ):
            for partition in range(partitions):
                await transaction(kafka, topic, b"taken back", key=b"k", partition=partition)
        async with agents_stage(kafka, topic_prefix, tmp_path / "second") as agents:
            second = msgspec.structs.replace(first, command_id="second", model_version=None)
            await agents.send([second])
            assert (await agents.results(["second"]))["second"]
            await agents.published_like_the_fold()
    log = (tmp_path / "second" / "agents.log").read_text()
    assert "Traceback" not in log
