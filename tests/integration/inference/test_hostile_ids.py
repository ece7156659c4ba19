"""Command ids of the product's own decisions, used up beforehand by somebody else."""

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hotswap_events.commands import StageVersion
from hotswap_stream.cli.app import build_app
from hotswap_stream.settings import Settings
from tests.support.stages.serving import MODEL, artifact_answering, damage, open_stage, stage_settings
from tests.support.stages.workers import watched_worker


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


async def test_a_version_that_cannot_load_is_rolled_back_though_somebody_used_the_id(settings: Settings) -> None:
    """The id `load-failed:<model>:<version>:<offset>` could be used up before; then nothing was rolled back."""
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        artifact = await stage.store.put_artifact(artifact_answering(2.0))
        await damage(stage, artifact)
        assert await stage.register(artifact) == "v2"
        await stage.register_answering(3.0)
        async with watched_worker(settings, "w1"):
            offset = stage.registry.fold.next_offset + 1  # of the promotion, behind what is written now
            used = StageVersion(
                command_id=f"load-failed:{MODEL}:v2:{offset}", actor="mallory", model_name=MODEL, model_version="v3"
            )
            if (await stage.registry.handle(used)).status != "accepted":
                pytest.fail("the id was not used up")
            assert (await stage.switch("v2")).offset == offset
            async with asyncio.timeout(60):
                while stage.registry.state(MODEL).active_version != "v1":
                    await stage.registry.wait_for_change()


def test_the_command_line_takes_no_such_names(settings: Settings) -> None:
    environment = {
        "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
    }
    for options in (["--command-id", "hotswap/load-failed/0"], ["--actor", "worker:w1"]):
        shown = CliRunner().invoke(build_app(), ["disable", MODEL, *options], env=environment)
        assert shown.exit_code == 2, shown.output
        assert "is kept for" in shown.output or "part of the" in shown.output
