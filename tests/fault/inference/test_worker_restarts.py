"""Workers that die and are started again, and a fleet that is restarted one by one, on the real broker."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, PARTITIONS, open_stage, request_body, stage_settings
from tests.support.stages.workers import running_worker
from tests.torture.topic_reading import TopicReader

WORKERS = ("w1", "w2", "w3")
OTHER = "other"


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


def member(settings: Settings, name: str, model_name: str = MODEL) -> Consumer:
    """A static member of a model's group, as a worker is one."""
    topics = bootstrap.topics(settings)
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": topics.workers_group(model_name),
            "group.instance.id": name,
            "client.id": name,
            "session.timeout.ms": 120_000,  # whoever is gone sooner was put out
            "heartbeat.interval.ms": 200,
            "enable.auto.commit": False,
            "partition.assignment.strategy": "range",
        }
    )
    consumer.subscribe([topics.requests(model_name)])
    return consumer


async def members(settings: Settings, model_name: str = MODEL) -> dict[str, str]:
    """Name → member id of those who are in the group."""
    group = bootstrap.topics(settings).workers_group(model_name)
    admin = AdminClient({"bootstrap.servers": str(settings.kafka_bootstrap_servers)})
    described = await asyncio.wrap_future(admin.describe_consumer_groups([group])[group])
    return {each.group_instance_id: each.member_id for each in described.members}


async def until_shared(*consumers: Consumer) -> None:
    """Poll these members until they have all partitions between them, each some."""
    async with asyncio.timeout(60):
        while True:
            for consumer in consumers:
                await asyncio.to_thread(consumer.poll, 0.02)
            counts = [len(consumer.assignment()) for consumer in consumers]
            if all(counts) and sum(counts) == PARTITIONS:
                return


async def test_what_a_dead_worker_had_goes_to_others_when_it_is_started_again(settings: Settings) -> None:
    await bootstrap.ensure_control_topics(settings)
    for model_name in (MODEL, OTHER):
        await bootstrap.model_topics_creator(settings)(model_name)
    living, dead = member(settings, "w1"), member(settings, "w2")
    other_living, other_dead = member(settings, "w1", OTHER), member(settings, "w2", OTHER)
    try:
        await until_shared(living, dead)
        await until_shared(other_living, other_dead)
        for each in (dead, other_dead):
            await asyncio.to_thread(each.close)  # a static member does not leave
        for model_name in (MODEL, OTHER):
            assert set(await members(settings, model_name)) == {"w1", "w2"}
        await bootstrap.put_out_former_self(settings, "w3")
        assert set(await members(settings)) == {"w1", "w2"}, "only its own name"
        await bootstrap.put_out_former_self(settings, "w2")
        await until_shared(living)
        await until_shared(other_living)
        for model_name in (MODEL, OTHER):
            assert set(await members(settings, model_name)) == {"w1"}
        fleet = bootstrap.topics(settings).fleet
        with TopicReader(str(settings.kafka_bootstrap_servers)) as reader:
            goodbyes = list(reader.records(fleet, 0, reader.end_offset(fleet, 0)))
        assert {each.key() for each in goodbyes} == {f"w2/{name}".encode() for name in (MODEL, OTHER)}
        assert {each.value() for each in goodbyes} == {None}

        alone = await members(settings)
        await bootstrap.put_out_former_self(settings, "w1")
        assert await members(settings) == alone, "nobody would answer in its place"
    finally:
        for each in (living, other_living):
            await asyncio.to_thread(each.close)


async def test_a_fleet_is_restarted_one_by_one_and_every_request_is_answered_once_and_in_order(
    settings: Settings,
) -> None:
    partitions = 2 * len(WORKERS)
    settings = replace(settings, request_partitions=partitions)
    async with open_stage(settings) as stage, stage.reading(partitions) as answers, AsyncExitStack() as fleet:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        running: dict[str, AsyncExitStack] = {}

        async def start(name: str) -> None:
            running[name] = await fleet.enter_async_context(AsyncExitStack())
            await running[name].enter_async_context(running_worker(settings, name))

        sent = 0

        async def until_answered_by(*names: str) -> None:
            """Ask until each of these, and nobody else, was the last to answer some partition."""
            nonlocal sent
            async with asyncio.timeout(90):
                while {got[-1]["parameters"]["worker"] for got in answers.by_partition if got} != set(names):
                    for partition in range(partitions):
                        await stage.send(request_body(str(sent)), partition=partition)
                    sent += 1
                    await asyncio.sleep(0.01)

        for name in WORKERS:
            await start(name)
        await until_answered_by(*WORKERS)
        for name in WORKERS:
            leaving = asyncio.create_task(running.pop(name).aclose())
            await until_answered_by(*(other for other in WORKERS if other != name))
            await leaving
            await start(name)
            await until_answered_by(*WORKERS)
        await answers.until_count(sent)
        for got in answers.by_partition:
            assert [answer["id"] for answer in got] == [str(number) for number in range(sent)]
            assert [answer["parameters"]["request_offset"] for answer in got] == list(range(sent))
