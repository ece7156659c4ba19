"""More partitions under load on the real broker: every request is answered once, windows follow their keys."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from hotswap_stream import bootstrap
from hotswap_stream.adapters.kafka.inference.records import partition_of
from hotswap_stream.client import TopicClient
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, open_stage, stage_settings
from tests.support.stages.windows import mean_artifact
from tests.support.stages.workers import running_worker

KEYS = [f"s{number}" for number in range(24)]


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """A version that takes windows of 4 steps is active; no worker runs."""
    async with open_stage(settings) as stage:
        await stage.switch(await stage.register(await stage.store.put_artifact(mean_artifact())))
        yield stage


async def test_windows_follow_their_keys_to_new_partitions_and_clients_notice(stage: Stage, settings: Settings) -> None:
    grown = 4 * PARTITIONS
    asked: dict[str, list[float]] = {key: [] for key in KEYS}
    async with (
        running_worker(settings),
        TopicClient(str(settings.kafka_bootstrap_servers), prefix=settings.topic_prefix) as client,
    ):

        async def ask(key: str, step: float) -> int:
            answer = await client.infer(MODEL, {"history": np.array([[step]], "<f4")}, routing_key=key, timeout_s=60)
            asked[key].append(step)
            if len(asked[key]) >= 4:
                assert answer.outputs["forecast"].tolist() == [[[np.mean(asked[key][-4:])]]], (key, answer)
            else:
                assert answer.outputs == {}
            return answer.partition

        for key in KEYS:
            for step in (1.0, 2.0, 3.0):
                await ask(key, step)
        with pytest.raises(ConfigurationError, match="no multiple"):
            await bootstrap.grow_topics(settings, MODEL, 2 * PARTITIONS + 1)
        with pytest.raises(ConfigurationError, match="no topics"):
            await bootstrap.grow_topics(settings, "nobody", grown)
        growth = await bootstrap.grow_topics(settings, MODEL, grown)
        assert [name.split(".")[1] for name in growth.before] == ["windows", "responses", "requests"]
        assert set(growth.before.values()) == {PARTITIONS}
        assert (await bootstrap.grow_topics(settings, MODEL, grown)).before == {}, "done before"
        with pytest.raises(ConfigurationError, match="never loses"):
            await bootstrap.grow_topics(settings, MODEL, PARTITIONS)
        moved = {key for key in KEYS if partition_of(key, grown) >= PARTITIONS}
        assert moved
        there = set[str]()
        step = 10.0
        async with asyncio.timeout(90):
            while there < moved:  # each with the mean of what was there before
                step += 1.0
                for key in KEYS:
                    if await ask(key, step) == partition_of(key, grown) >= PARTITIONS:
                        there.add(key)
        for key in KEYS:
            assert await ask(key, 1.0) == partition_of(key, grown)
