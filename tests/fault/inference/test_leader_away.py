"""A leader that is away keeps its own partitions from being answered, and no others: on three real brokers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from hotswap_stream import bootstrap
from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, PARTITIONS, Answers, Stage, open_stage, request_body, stage_settings
from tests.support.stages.workers import running_worker

BROKERS = 3
AWAY = 0
"""The partition whose leader goes: of the requests, or of the answers."""


@pytest.fixture
async def kafka_of_three() -> AsyncIterator[EmbeddedKafka]:
    async with EmbeddedKafka(BROKERS) as kafka:
        yield kafka


async def _make_topics(settings: Settings, kafka: EmbeddedKafka) -> None:
    """Topics of the model with one copy: the partition on the last node, all others on the other nodes."""
    first, second, last = (node.node_id for node in kafka.nodes)
    leaders = [last if partition == AWAY else (first, second)[partition % 2] for partition in range(PARTITIONS)]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    specs = bootstrap.topics(settings).model_specs(MODEL, partitions=PARTITIONS)
    made = admin.create_topics(
        [
            NewTopic(
                spec.name,
                num_partitions=PARTITIONS,
                replica_assignment=[[leader] for leader in leaders],
                config=spec.config(brokers=1),
            )
            for spec in specs
        ]
    )
    for future in made.values():
        await asyncio.wrap_future(future)


async def _ask(stage: Stage, number: int, *partitions: int) -> None:
    for partition in partitions:
        await stage.send(request_body(str(number)), partition=partition)


def _has(answers: Answers, number: int, *partitions: int) -> bool:
    return all(any(got["id"] == str(number) for got in answers.by_partition[partition]) for partition in partitions)


@pytest.mark.timeout(240)
async def test_only_the_partitions_of_a_leader_that_is_away_wait(
    kafka_of_three: EmbeddedKafka, topic_prefix: str, tmp_path: Path
) -> None:
    """It kept a worker from starting, and all that it had to take over from being answered."""
    kafka, others = kafka_of_three, [partition for partition in range(PARTITIONS) if partition != AWAY]
    settings = stage_settings(kafka.bootstrap_servers, topic_prefix, tmp_path)
    await bootstrap.ensure_control_topics(settings)
    await _make_topics(settings, kafka)
    async with open_stage(settings) as stage, stage.reading() as answers:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        async with running_worker(settings, "w1"):
            await _ask(stage, 0, *range(PARTITIONS))
            await answers.until(lambda: _has(answers, 0, *range(PARTITIONS)))
        await kafka.nodes[-1].kill()
        async with running_worker(settings, "w2"):
            await _ask(stage, 1, *others)
            await answers.until(lambda: _has(answers, 1, *others))
            async with running_worker(settings, "w3"):  # some are handed over
                await _ask(stage, 2, *others)
                await answers.until(lambda: _has(answers, 2, *others))
            await _ask(stage, 3, *others)
            await answers.until(lambda: _has(answers, 3, *others))
            assert not _has(answers, 1, AWAY)
            await kafka.nodes[-1].start()
            await _ask(stage, 1, AWAY)
            await answers.until(lambda: _has(answers, 1, AWAY))
    for partition, got in enumerate(answers.by_partition):
        assert [answer["parameters"]["request_offset"] for answer in got] == list(range(2 if partition == AWAY else 4))
