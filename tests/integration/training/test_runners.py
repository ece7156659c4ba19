"""Runners on the real broker: one of two does a run, once, whatever becomes of it; what is bad ends as an event."""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import msgspec
import psutil
import pytest

from hotswap_events.commands import CancelTraining
from hotswap_stream import bootstrap
from hotswap_stream.cli.planes.cluster import open_cluster
from hotswap_stream.cli.training.repeating import repeated
from hotswap_stream.settings import child_environment
from tests.support.checkout import ROOT
from tests.support.processes.commands import running
from tests.support.stages.serving import stage_settings
from tests.support.stages.training_runs import SECONDS_MAX, RunStage

MARK = "4295.25"
TRAINER = f"""
import json, os, pathlib, subprocess, sys, time
order = json.loads(sys.stdin.readline())
mode, folder = order["parameters"].get("mode", "well"), pathlib.Path(order["folder"])
if mode == "slow" and not pathlib.Path(order["parameters"]["go"]).exists():
    for step in range(10_000):
        print(json.dumps({{"type": "progress", "step": step, "figures": {{"loss": 1.0}}}}), flush=True)
        time.sleep(0.1)
if mode == "garbage":
    print("garbage")
if mode == "leaves":
    subprocess.Popen(["setsid", "sleep", "{MARK}"])
if mode == "no model":
    (folder / "model.onnx").write_bytes(b"no graph")
if mode in ("well", "slow"):
    (folder / "artifact.safetensors").write_bytes(pathlib.Path(order["parameters"]["file"]).read_bytes())
    print(json.dumps({{"type": "progress", "step": 1, "steps": 1, "epoch": 1, "figures": {{"loss": 0.25}}}}))
    print(json.dumps({{"type": "finished", "metrics": {{"loss": 0.25}}}}))
"""


@pytest.fixture
async def stage(kafka: str, topic_prefix: str, tmp_path: Path) -> AsyncIterator[RunStage]:
    (tmp_path / "trainer.py").write_text(TRAINER)
    examples = {"mean": [sys.executable, str(ROOT / "examples" / "trainers" / "mean.py")]}
    examples["copy"] = ["sh", str(ROOT / "examples" / "trainers" / "copy.sh")]
    commands = {"tried": [sys.executable, str(tmp_path / "trainer.py")], **examples}
    settings = msgspec.structs.replace(
        stage_settings(kafka, topic_prefix, tmp_path),
        trainer_commands=";".join(f"{name}={shlex.join(command)}" for name, command in commands.items()),
        trainer_silent_seconds=6.0,
        trainer_runs_max=2,
    )
    async with bootstrap.open_registry(settings) as registry:
        yield RunStage(registry, settings, tmp_path)


@pytest.mark.timeout(300)
async def test_runs_are_done_and_bad_ends_are_events(stage: RunStage) -> None:
    async with bootstrap.open_runner(stage.settings, "one") as one, bootstrap.open_runner(stage.settings, "two") as two:
        beats: list[None] = []
        runners = [asyncio.create_task(each.run(lambda: beats.append(None))) for each in (one, two)]
        try:
            await _well(stage)
            await _examples(stage)
            await _bad(stage)
            await _cancelled(stage)
        finally:
            for runner in runners:
                runner.cancel()
            await asyncio.gather(*runners, return_exceptions=True)
    assert beats
    assert not [each for each in psutil.process_iter(["cmdline"]) if MARK in (each.info["cmdline"] or ())]
    assert not list((stage.settings.home / "runs").glob("run-*"))


async def _well(stage: RunStage) -> None:
    ids = [await stage.ask(), await stage.ask("als", model="taste", of_trainer={"iterations": 1, "factors": 4})]
    for run_id, model in zip(ids, ("lines", "taste"), strict=True):
        run = await stage.ended(run_id, model)
        assert (run.status, run.detail) == ("succeeded", None)
        assert run.runner is not None
        version = stage.registry.state(model).versions[run.model_version or ""]
        assert version.run_id == run_id
    assert stage.registry.state("lines").versions["v1"].metrics == {"loss": 0.25}
    async with open_cluster(stage.settings) as plane:
        for run_id, model in zip(ids, ("lines", "taste"), strict=True):
            fields = {"model_name": model, "actor": "ada", "command_id": str(uuid4())}
            assert await repeated(plane, fields, run_id, as_json=True, timeout=SECONDS_MAX) == 0
            both = [version.artifact.digest for version in stage.registry.state(model).versions.values()]
            assert len(both) == 2
            assert both[0] == both[1]
    async with asyncio.timeout(SECONDS_MAX):
        while (heard := (await bootstrap.training_progress(stage.settings)).of(ids[0], "lines")) is None or (
            heard.phase != "ended"
        ):
            await asyncio.sleep(0.1)
    assert [epoch.figures for epoch in heard.history] == [{"loss": 0.25}]
    assert heard.said is not None
    assert heard.said.startswith("registered as v")


async def _examples(stage: RunStage) -> None:
    mean = await stage.ended(await stage.ask("mean", model="means", of_trainer={"rows": 2}), "means")
    assert (mean.status, mean.detail) == ("succeeded", None)
    digest = stage.registry.state("lines").versions["v1"].artifact.digest
    copied = await stage.ended(await stage.ask("copy", model="copies", datasets=(digest,)), "copies")
    assert (copied.status, copied.detail) == ("succeeded", None)
    assert stage.registry.state("copies").versions["v1"].artifact.digest == digest


async def _bad(stage: RunStage) -> None:
    modes = {"garbage": "bad-output", "nothing": "no-artifact", "leaves": "no-artifact", "no model": "bad-output"}
    bad = {await stage.ask(parameters={"mode": mode}): cause for mode, cause in modes.items()}
    bad[await stage.ask("als", of_trainer={"factors": -1})] = "not-possible"
    bad[await stage.ask(datasets=(f"sha256:{'1' * 64}",))] = "bad-data"
    bad[await stage.ask(parameters={"mode": "slow", "go": "/never"}, seconds_max=2)] = "timed-out"
    for run_id, cause in bad.items():
        run = await stage.ended(run_id)
        assert (run.status, (run.detail or "").partition(":")[0]) == ("failed", cause), run
    waits = await stage.ask("nobody-has-this")
    assert stage.run(waits) is not None


async def _cancelled(stage: RunStage) -> None:
    program = str(stage.folder / "trainer.py")
    run_id = await stage.ask(parameters={"mode": "slow", "go": "/never"})
    await stage.until(run_id, lambda run: run.status == "running")
    cancel = CancelTraining(command_id="c", actor="ada", model_name="lines", run_id=run_id, reason="enough")
    assert (await stage.send(cancel)).status == "accepted"
    run = stage.run(run_id)
    assert run is not None
    assert (run.status, run.detail) == ("cancelled", "enough")
    async with asyncio.timeout(SECONDS_MAX):
        while [each for each in psutil.process_iter(["cmdline"]) if program in (each.info["cmdline"] or ())]:
            await asyncio.sleep(0.05)


@pytest.mark.timeout(300)
async def test_a_run_of_a_killed_runner_is_done_once_by_another(stage: RunStage, tmp_path: Path) -> None:
    environment = {
        **child_environment(stage.settings),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "events")]),
    }
    go = tmp_path / "go"
    with ExitStack() as processes:
        runners = {
            name: processes.enter_context(running(environment, "trainers", "--name", name)) for name in ("one", "two")
        }
        run_id = await stage.ask(parameters={"mode": "slow", "go": str(go)}, retries=2)
        run = await stage.until(run_id, lambda run: run.status == "running")
        killed = runners[(run.runner or "").partition("/")[0]]
        children = psutil.Process(killed.pid).children(recursive=True)
        assert children
        go.touch()
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        failed = await stage.ended(run_id)
        assert (failed.status, (failed.detail or "").partition(":")[0]) == ("failed", "silent")
        again = await stage.ended(f"{run_id}~2")
        assert again.status == "succeeded"
        assert again.runner != run.runner
        gone, alive = psutil.wait_procs(children, timeout=60)
        assert (len(gone), alive) == (len(children), [])
    assert list(stage.registry.state("lines").versions) == ["v1"]
