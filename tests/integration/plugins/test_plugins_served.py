"""The users' own code in real workers on the real broker: served, missing, rolled back, trained, computed again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from hotswap_events.commands import ValidateVersion
from hotswap_events.inference.fleet import FleetPlugin, FleetRecord
from hotswap_stream import bootstrap
from hotswap_stream.application.audit.reproduce import reproduce
from hotswap_stream.application.training.runs import TrainingSpec
from hotswap_stream.client.topic_client import TopicClient
from hotswap_stream.settings import Settings
from hotswap_stream.workers.inference.batches import forward
from tests.support.samples.plugins import MODULE, foreign_artifact, texts_artifact
from tests.support.stages.command_line import command_line
from tests.support.stages.serving import MODEL, Stage, open_stage, stage_settings
from tests.support.stages.workers import running_worker

HAS = (
    FleetPlugin(kind="architecture", name="plugged-digits"),
    FleetPlugin(kind="architecture", name="plugged-linear"),
    FleetPlugin(kind="runtime", name="test-texts"),
)


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    found = stage_settings(kafka, topic_prefix, tmp_path)
    return replace(found, executor="eager", plugin_modules=MODULE, runtime_seconds_max=3.0)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        yield stage


async def put(stage: Stage, content: bytes) -> str:
    return await stage.register(await stage.store.put_artifact(content))


def body(*texts: str) -> bytes:
    tensor = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return msgspec.json.encode({"inputs": [tensor]})


async def told(stage: Stage, version: str, state: str) -> FleetRecord:
    """The first record of the fleet topic that has this version in this state."""
    count = 0
    while True:
        count += 1
        for record in await stage.records(stage.topics.fleet, 0, count):
            if record.value:
                found = msgspec.json.decode(record.value, type=FleetRecord)
                if version in found.versions and found.versions[version].state == state:
                    return found


async def test_a_runtime_is_served_beside_torch_and_swapped(stage: Stage, settings: Settings) -> None:
    versions = [await put(stage, texts_artifact(prefix)) for prefix in ("one-", "two-")]
    await stage.switch(versions[0])
    async with (
        running_worker(settings),
        TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client,
    ):

        async def asked(*texts: str) -> list[str]:
            answer = await client.infer(MODEL, {"text": np.array(texts, object)}, timeout_s=60)
            found: list[str] = answer.outputs["shouted"].ravel().tolist()
            return found

        assert await asked("ä", "b") == ["ONE-Ä", "ONE-B"]
        await stage.switch(versions[1])
        while await asked("c") != ["TWO-C"]:
            pass
        record = await told(stage, versions[1], "serving")
        assert record.plugins == HAS
        assert {"architecture", "onnx", "runtime"} <= set(record.kinds)


async def test_one_that_hangs_crashes_or_raises_fails_its_request_alone(
    stage: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "ONE_BY_ONE_SECONDS_MAX", 60.0)  # processes start anew in it, on any machine
    await stage.switch(await put(stage, texts_artifact()))
    words = ["good", "hang", "fine", "crash", "wrong", "also good", "fail"]
    for word in words:
        await stage.send(body(word))  # before there is a worker, so that they come in one batch
    async with running_worker(settings) as worker:
        answers = [msgspec.json.decode(record.value or b"") for record in await stage.answers(len(words))]
        assert worker.trouble() is None
        # What is asked after that is computed as before.
        while True:
            await stage.send(body("after"))
            words.append("after")
            last: dict[str, Any] = msgspec.json.decode((await stage.answers(len(words)))[-1].value or b"")
            if "outputs" in last:
                break
    codes = [answer.get("error_code") for answer in answers]
    assert codes[4] == "wrong-input"
    assert [codes[bad] for bad in (1, 3, 6)] == ["model-failure"] * 3
    assert "did not answer within 3 s" in answers[1]["error"]
    assert "SIGABRT" in answers[3]["error"]
    assert [codes[good] for good in (0, 2, 5)] == [None] * 3


async def test_what_no_worker_has_is_told_and_rolled_back(stage: Stage, settings: Settings) -> None:
    first = await put(stage, texts_artifact("one-"))
    await stage.switch(first)
    async with running_worker(settings):
        await told(stage, first, "serving")
        second = await put(stage, foreign_artifact())
        await stage.switch(second)
        record = await told(stage, second, "failed")
        assert record.versions[second].missing == FleetPlugin(
            kind="runtime", name="nobody-has-it", package="nobodys-package", version="3.1"
        )
        assert "the package nobodys-package 3.1 brings it" in (record.versions[second].error or "")
        while stage.registry.state(MODEL).active_version != first:
            await asyncio.sleep(0.05)


async def test_an_answer_of_a_runtime_is_computed_again(stage: Stage, settings: Settings) -> None:
    await stage.switch(await put(stage, texts_artifact("one-")))
    offset = await stage.send(body("a", "bb"))
    async with running_worker(settings):
        await stage.answers(1)
    recorded = await bootstrap.recorded_answer(settings, MODEL, partition=0, offset=offset)
    facts = recorded.response.parameters
    loader = bootstrap.exact_loader(settings)
    digest = facts.artifact_digest or ""
    manifest = (await stage.store.fetch(digest)).manifest
    inputs = recorded.inputs(manifest)
    answered = {
        "length": np.array([1, 2]),
        "shouted": np.array(["ONE-A", "ONE-BB"], object),
    }
    found = await reproduce(
        loader,
        artifact_digest=digest,
        executor=facts.executor or "",
        padded_batch_size=facts.padded_batch_size or 2,
        inputs=inputs,
        answered=answered,
    )
    assert found.equal
    assert found.executor == "test-texts"
    loader.close()


async def test_people_see_what_workers_have_and_lack_before_a_promotion(stage: Stage, settings: Settings) -> None:
    first, second = await put(stage, texts_artifact("one-")), await put(stage, foreign_artifact())
    await stage.switch(first)
    figures = {"accuracy": 1.0}
    await stage.command(
        ValidateVersion(
            **stage.meta(),
            model_version=second,
            validation_set="set",
            figures=figures,
            baseline_version=first,
            baseline_figures=figures,
        )
    )
    variables = {
        "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers or "",
        "HOTSWAP_TOPIC_PREFIX": settings.topic_prefix,
        "HOTSWAP_HOME": str(settings.home),
        "HOTSWAP_PLUGIN_MODULES": MODULE,
    }
    with command_line(variables) as cli:
        async with running_worker(settings):
            await told(stage, second, "failed")
            shown = await asyncio.to_thread(cli, "models", "show", MODEL)
            fleet = await asyncio.to_thread(cli, "fleet", MODEL)
            listed = msgspec.json.decode((await asyncio.to_thread(cli, "fleet", MODEL, "--json")).output)
            assert stage.registry.state(MODEL).active_version == first
        plugins = await asyncio.to_thread(cli, "plugins")
    lacks = "v2 needs runtime nobody-has-it (nobodys-package 3.1), which w1 lacks; no live worker has loaded it"
    assert lacks in shown.output
    assert lacks in fleet.output
    assert "w1: has architecture, onnx, runtime, architecture plugged-digits" in fleet.output
    assert "runtime test-texts" in fleet.output
    assert "plugged-linear" in plugins.output
    assert listed["lacked_plugins"] == [
        {
            "model_version": "v2",
            "plugin": {"kind": "runtime", "name": "nobody-has-it", "package": "nobodys-package", "version": "3.1"},
            "workers": ["w1"],
            "loaded_elsewhere": False,
        }
    ]


async def test_a_model_is_trained_with_an_architecture_of_the_users_own(settings: Settings) -> None:
    async with bootstrap.open_training(settings) as trainer:
        report = await trainer.train(
            TrainingSpec(
                run_id="run-1",
                model_name="digits",
                architecture="plugged-digits",
                epochs=1,
                created_by="test",
            ),
            actor="test",
        )
        state = trainer.registry.state("digits")
    assert report.evaluation is not None, report
    async with (
        running_worker(settings),
        TopicClient(settings.kafka_bootstrap_servers or "", prefix=settings.topic_prefix) as client,
    ):
        answer = await client.infer("digits", {"image": np.zeros((1, 1, 28, 28), np.float32)}, timeout_s=60)
    assert answer.outputs["scores"].shape == (1, 10)
    assert state.active_version == "v1"
