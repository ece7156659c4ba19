"""A model's topics changed under a running worker: what fits is served on, the rest is told, and it heals by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hotswap_events.inference.fleet import FleetRecord
from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.fleet_follower import read_fleet
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.loop import served_partitions
from hotswap_stream.workers.inference.worker import InferenceWorker
from tests.support.kafka.hostile_topics import delete_topic, give_partitions
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, body, open_stage, request_body
from tests.support.stages.serving import stage_settings as settings_of
from tests.support.stages.workers import running_worker

SECONDS_MAX = 60.0


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(served_partitions, "RECHECK_SECONDS", 0.5)
    return settings_of(kafka, topic_prefix, tmp_path)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        yield stage


async def until(true: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not true():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(what) from None


def told(worker: InferenceWorker) -> FleetRecord:
    worker._report(MODEL)
    return worker._fleet._own[MODEL]


async def is_answered(stage: Stage, partition: int, before: int = 0) -> None:
    offset = await stage.send(request_body(), partition=partition)
    records = await stage.answers(before + 1, partition=partition)
    assert body(records[-1])["parameters"]["request_offset"] == offset


async def test_request_partitions_that_were_added(kafka: str, stage: Stage) -> None:
    """The old ones stopped, too, health said nothing, and a restart told to delete the topic."""
    requests, responses = stage.topics.requests(MODEL), stage.topics.responses(MODEL)
    async with running_worker(stage.settings):
        await is_answered(stage, 0)
        await asyncio.to_thread(give_partitions, kafka, requests, PARTITIONS + 2)
    async with running_worker(stage.settings) as worker:
        await is_answered(stage, 0, 1)
        await is_answered(stage, 1)
        await stage._producer.client.force_metadata_update()
        waiting = await stage.send(request_body("early"), partition=PARTITIONS)
        await until(lambda: told(worker).unserved_partitions == (2, 3), "it does not tell what it cannot serve")
        record = told(worker)
        assert record.partitions == (0, 1)
        assert record.advice is not None
        assert f"--alter --topic {responses} --partitions 4" in record.advice
        assert worker.trouble() is None
        assert worker._advice() == record.advice
        fleet = await read_fleet(bootstrap.connection(stage.settings).client_options(), stage.topics.fleet)
        (seen,) = fleet.workers(MODEL, asyncio.get_running_loop().time())
        assert seen.worker == "w1"
        await asyncio.to_thread(give_partitions, kafka, responses, PARTITIONS + 2)
        (answer,) = await stage.answers(1, partition=PARTITIONS)
        assert body(answer)["parameters"]["request_offset"] == waiting
        await until(lambda: told(worker).advice is None, "it goes on telling what was mended")
        assert told(worker).partitions == (0, 1, 2, 3)
        await is_answered(stage, 0, 2)


async def test_partitions_that_are_added_while_it_runs(
    kafka: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_worker(stage.settings) as worker:
        await is_answered(stage, 0)
        await asyncio.to_thread(give_partitions, kafka, stage.topics.requests(MODEL), PARTITIONS + 1)
        await until(lambda: told(worker).unserved_partitions == (PARTITIONS,), "it does not see the new partition")
        await is_answered(stage, 0, 1)
        await is_answered(stage, 1)


async def test_a_response_topic_that_was_deleted(kafka: str, stage: Stage) -> None:
    """It is told in clear words, and the worker goes on when the topic is there again."""
    responses = stage.topics.responses(MODEL)
    async with running_worker(stage.settings) as worker:
        await is_answered(stage, 0)
        await asyncio.to_thread(delete_topic, kafka, responses)
        lost = await stage.send(request_body("while it is away"))
        await until(lambda: "does not exist" in (told(worker).advice or ""), "it does not say that the topic is gone")
        await bootstrap.model_topics_creator(stage.settings)(MODEL)
        (answer,) = await stage.answers(1)
        assert body(answer)["parameters"]["request_offset"] == lost
        await until(lambda: told(worker).partitions == (0, 1), "it does not serve again")


async def test_a_model_whose_topics_have_another_count_than_the_setting(stage: Stage) -> None:
    """The worker, and with it every model, ended with 'delete the topic'."""
    from msgspec.structs import replace

    async with running_worker(replace(stage.settings, request_partitions=PARTITIONS + 3)) as worker:
        await is_answered(stage, 0)
        assert told(worker).partitions == (0, 1)
