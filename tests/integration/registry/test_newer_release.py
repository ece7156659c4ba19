"""A worker and an API of this release, and an event that only a newer release can read."""

import asyncio
from pathlib import Path

import pytest

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import RollBack
from hotswap_events.serving.commands import DisableModel
from hotswap_stream import bootstrap
from hotswap_stream.errors import UnreadableEventError
from tests.support.samples.registry import in_envelope, staged
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, open_stage, request_body, stage_settings

SECONDS_MAX = 60.0


async def write_unknown(stage: Stage) -> None:
    """An event as a newer release would write it, which must be understood."""
    stream = stage.registry.stream(MODEL)
    assert stream is not None
    sequence = stream.state.sequence + 1
    event = in_envelope(staged("v1"), sequence=sequence, previous=stream.head_digest, subject=MODEL)
    value = REGISTRY_CODEC.encode(event).replace(b"hotswap.model.staged.v1", b"hotswap.model.future.v9")
    await stage.registry.log.append(MODEL.encode(), [value])
    await stage.registry.catch_up()
    assert stage.registry.state(MODEL).unknown_event_type == "hotswap.model.future.v9"


async def test_a_worker_serves_on_and_follows_a_rollback_behind_an_unknown_event(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    """An event of a newer release blocked all commands on its model, an emergency rollback too."""
    settings = stage_settings(kafka, topic_prefix, tmp_path)
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register_answering(2.0)
        await stage.switch("v1")
        await stage.switch("v2")
        worker = await bootstrap.build_worker(settings, "w1")
        await worker.start()
        try:
            async with stage.reading() as answers, asyncio.timeout(SECONDS_MAX):

                async def version_that_answers() -> str | None:
                    counts = [len(found) for found in answers.by_partition]
                    for partition in range(PARTITIONS):
                        await stage.send(request_body(), partition=partition)
                    await answers.until(
                        lambda: all(
                            len(found) > count for found, count in zip(answers.by_partition, counts, strict=True)
                        )
                    )
                    (version,) = {found[-1].get("model_version") for found in answers.by_partition}
                    return version if isinstance(version, str) else None

                assert await version_that_answers() == "v2"
                await write_unknown(stage)
                assert await version_that_answers() == "v2"
                with pytest.raises(UnreadableEventError, match="roll back, switch to a version that served"):
                    await stage.register_answering(3.0)
                back = await stage.command(RollBack(**stage.meta(), cause="emergency"))
                assert (back.model_version, back.previous_version) == ("v1", "v2")
                assert back.event_types == ("hotswap.model.set-back.v1",)
                while await version_that_answers() != "v1":
                    await asyncio.sleep(0.05)
                switched = await stage.switch("v2")
                assert switched.event_types == ("hotswap.model.set-back.v1",)
                while await version_that_answers() != "v2":
                    await asyncio.sleep(0.05)
                await stage.command(DisableModel(**stage.meta()))
                while not any(found[-1].get("error_code") == "model-disabled" for found in answers.by_partition):
                    await version_that_answers()
        finally:
            await worker.stop()
