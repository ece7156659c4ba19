"""Requests written in transactions: the marker at a partition's end is no request that waits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.inference import lag as request_lag
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.health import signs as life_signs
from hotswap_stream.workers.inference.loop import answered_places
from hotswap_stream.workers.inference.places.waiting_requests import nothing_waits
from tests.support.stages.serving import MODEL, Stage, open_stage, request_body
from tests.support.stages.serving import stage_settings as settings_of
from tests.support.stages.workers import running_worker


@pytest.fixture
async def stage(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(settings_of(kafka, topic_prefix, tmp_path)) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        yield stage


def write_in_transaction(settings: Settings, topic: str, *, commit: bool = True) -> Producer:
    producer = Producer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "transactional.id": f"{topic}-{commit}"}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, request_body(), partition=0)
    producer.flush(60)
    if commit:
        producer.commit_transaction(30)
    return producer


async def test_a_marker_is_no_request_that_waits(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker is well, the model ready and no alert is near, though the end lies behind the last request."""
    for seconds, module, name in (
        (0.1, answered_places, "SURE_SECONDS"),
        (5.0, life_signs, "STANDSTILL_SECONDS_MAX"),
        (0.1, request_lag, "STANDSTILL_SURE_SECONDS"),
    ):
        monkeypatch.setattr(module, name, seconds)
    settings, topic = stage.settings, stage.topics.requests(MODEL)
    options = bootstrap.connection(settings).librdkafka_options()
    async with running_worker(settings) as worker, bootstrap.request_lag(settings) as lag:
        await asyncio.to_thread(write_in_transaction, settings, topic)
        await stage.answers(1)
        signs = worker._served[MODEL].signs
        for _look in range(35):
            await asyncio.sleep(0.2)
            assert worker.trouble() is None
        assert signs.standing(0.5) == ()
        while (waiting := (await lag.waiting({MODEL: 1e9}))[MODEL]).requests:
            assert waiting.standstill_seconds < 20
            await asyncio.sleep(0.2)
        assert waiting.standstill_seconds == 0.0
        assert await asyncio.to_thread(nothing_waits, options, "t", topic, 0, 1, 2)


async def test_a_request_and_an_open_transaction_are_in_the_way(stage: Stage) -> None:
    settings, topic = stage.settings, stage.topics.requests(MODEL)
    options = bootstrap.connection(settings).librdkafka_options()
    await stage.send(request_body())
    assert not await asyncio.to_thread(nothing_waits, options, "t", topic, 0, 0, 1)
    assert await asyncio.to_thread(nothing_waits, options, "t", topic, 0, 1, 1)
    open_one = await asyncio.to_thread(write_in_transaction, settings, topic, commit=False)
    assert not await asyncio.to_thread(nothing_waits, options, "t", topic, 0, 1, 2)
    await asyncio.to_thread(open_one.abort_transaction, 30)
    assert await asyncio.to_thread(nothing_waits, options, "t", topic, 0, 1, 3)
