"""What is written into the fleet topic by others than workers, on the real broker."""

import asyncio
import shutil
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from msgspec.structs import replace

from hotswap_stream.application.artifacts.file import digest_hex
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.worker import InferenceWorker
from tests.support.kafka.raw_records import send_with_a_nameless_header
from tests.support.stages.serving import MODEL, open_stage, stage_settings
from tests.support.stages.workers import watched_worker


async def hears(worker: InferenceWorker, other: str) -> None:
    async with asyncio.timeout(60):
        while other not in [each.worker for each in worker._fleet.others(MODEL) or ()]:
            await asyncio.sleep(0.05)


async def write_into_the_fleet(settings: Settings) -> None:
    topic = f"{settings.topic_prefix}.fleet"
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        for key, value in (
            (b"w2/digits", b"\xff\xfe{"),
            (b"\xff\xfe", b'{"worker":"\xff"}'),
            (b"\xff\xfe/digits", None),
            (b"x/" + MODEL.encode(), b'{"worker":"x"}'),
            (b"y/" + MODEL.encode(), b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        ):
            await producer.send_and_wait(topic, value, key=key, partition=0)
    finally:
        await producer.stop()
    await send_with_a_nameless_header(str(settings.kafka_bootstrap_servers), topic, key=b"z/digits", value=b"{}")


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path / "one")


async def test_a_load_that_fails_in_one_worker_rolls_nobody_back_whatever_is_in_the_fleet_topic(
    settings: Settings, tmp_path: Path
) -> None:
    """A record that was no UTF-8 ended a worker's follower; its list of the others emptied, and its failed load took
    the version from all."""
    other = replace(settings, home=tmp_path / "two")
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(2.0)
        await stage.switch("v1")
        shutil.copytree(settings.home / "artifacts", other.home / "artifacts")
        digest = digest_hex(stage.registry.state(MODEL).versions["v2"].artifact.digest)
        (damaged,) = (path for path in (other.home / "artifacts").rglob(f"{digest}*") if path.is_file())
        damaged.chmod(0o644)
        damaged.write_bytes(b"damaged")
        async with watched_worker(settings, "w1") as good, watched_worker(other, "w2") as bad:
            await hears(good, "w2")
            await hears(bad, "w1")
            await write_into_the_fleet(settings)
            await stage.switch("v2")
            async with asyncio.timeout(60):
                while MODEL not in bad._served or bad._served[MODEL].settling is None:
                    await asyncio.sleep(0.05)
                settling = bad._served[MODEL].settling
                assert settling is not None
                await settling
            await stage.registry.catch_up()
            assert stage.registry.state(MODEL).active_version == "v2"
            lease = good._served[MODEL].slots.current
            assert lease is not None
            assert lease.model_version == "v2"
