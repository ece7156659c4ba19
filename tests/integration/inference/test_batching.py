"""Batches of a model are as its serving policy says, from the event on."""

from pathlib import Path

import pytest

from hotswap_events.serving.commands import SetServingPolicy
from hotswap_events.serving.control import ServingPolicy
from hotswap_stream.settings import Settings
from tests.support.stages.serving import Stage, body, open_stage, request_body, stage_settings
from tests.support.stages.workers import running_worker

REQUESTS = 60


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


async def _largest_batch(stage: Stage, settings: Settings, sent_before: int) -> int:
    """Send requests while no worker runs, then let one answer what has gathered."""
    for _ in range(REQUESTS):
        await stage.send(request_body())
    async with running_worker(settings):
        records = await stage.answers(sent_before + REQUESTS)
    return max(int(body(record)["parameters"]["batch_size"]) for record in records[sent_before:])


async def test_a_policy_bounds_the_batches_of_its_model(settings: Settings) -> None:
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        await stage.command(SetServingPolicy(**stage.meta(), policy=ServingPolicy(batch_size_max=4)))
        assert 1 < await _largest_batch(stage, settings, 0) <= 4
        policy = ServingPolicy(batch_size_max=10_000, batch_wait_ms_max=50.0)
        await stage.command(SetServingPolicy(**stage.meta(), policy=policy))
        assert 4 < await _largest_batch(stage, settings, REQUESTS) <= settings.batch_size_max
