"""Two environments on one cluster: a request to one cannot write into the other by way of its reply topic."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec.structs import replace

from hotswap_events import headers as names
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, Stage, body, open_stage, request_body, stage_settings
from tests.support.stages.workers import running_worker


@pytest.fixture
async def stages(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[tuple[Stage, Stage]]:
    """Staging, whose operator allows any reply topic, and production; each with a worker and v1 active."""
    async with AsyncExitStack() as stack:
        both = []
        for name in ("staging", "production"):
            settings = stage_settings(kafka, f"{topic_prefix[:40]}-{name}", tmp_path / name)
            stage = await stack.enter_async_context(open_stage(replace(settings, reply_topics="*")))
            await stage.register_answering(1.0)
            await stage.switch("v1")
            both.append(stage)
        await stack.enter_async_context(running_worker(both[0].settings, "staging-1"))
        yield both[0], both[1]


async def test_a_request_to_staging_writes_nothing_into_production(stages: tuple[Stage, Stage]) -> None:
    """With production's responses as reply topic its worker resumed at 31 and five requests were never answered;
    with its registry, its audit failed for good."""
    staging, production = stages
    async with running_worker(production.settings, "production-1"):
        for number in range(3):
            await production.send(request_body(f"before-{number}"))
        await production.answers(3)
    registry_end = production.registry.fold.next_offset
    targets = [production.topics.responses(MODEL), production.topics.registry, production.topics.requests(MODEL)]
    for number in range(31):
        await staging.send(request_body(), headers=[(names.SPRING_REPLY_TOPIC, targets[number % 3].encode())])
    refused = [body(record) for record in await staging.answers(31)]
    assert {answer["error_code"] for answer in refused} == {"request-unreadable"}
    assert all("no request may write there" in answer["error"] for answer in refused)
    assert len(await staging.records(staging.topics.dead_letters, None, 31)) == 31
    for number in range(5):
        await production.send(request_body(f"after-{number}"))
    async with running_worker(production.settings, "production-1"):
        records = await production.answers(8)
    assert [body(record)["id"] for record in records[3:]] == [f"after-{number}" for number in range(5)]
    await production.registry.catch_up()
    assert production.registry.fold.next_offset == registry_end
    assert await _count(production.settings, production.topics.responses(MODEL)) == 8
    assert await _count(production.settings, production.topics.requests(MODEL)) == 8


async def _count(settings: Settings, topic: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        return int((await consumer.end_offsets([TopicPartition(topic, 0)]))[TopicPartition(topic, 0)])
    finally:
        await consumer.stop()
