"""Runs that an orchestrator or a Job does, on the real broker: asked for by a signed webhook, reported over HTTP."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hotswap_events.commands import CancelTraining
from hotswap_stream import bootstrap
from hotswap_stream.domain.state.runs import RunState
from hotswap_stream.settings import Settings
from tests.support.kubernetes_server import KubernetesServer
from tests.support.processes.commands import environment_with, hotswap
from tests.support.stages.serving import stage_settings
from tests.support.stages.training_runs import SECONDS_MAX, RunStage
from tests.support.webhook_receiver import SECRET, Answer, Received, Receiver

TEMPLATE = """
apiVersion: batch/v1
kind: Job
spec:
  template:
    spec:
      containers:
        - {name: trainer, image: hotswap-stream-worker, args: [do-run]}
"""
PROGRAM = """
import json, pathlib, sys, time
order = json.loads(sys.stdin.readline())
assert order["datasets"][0]["path"]
sys.stderr.write("works\\n")
if order["parameters"].get("mode") == "slow":
    time.sleep(600)
if order["parameters"].get("mode") == "bad":
    sys.exit(3)
data = pathlib.Path(order["datasets"][0]["path"]).read_bytes()
(pathlib.Path(order["folder"]) / "artifact.safetensors").write_bytes(data)
(pathlib.Path(order["folder"]) / "confusion.json").write_text("{}")
print(json.dumps({"type": "progress", "epoch": 1, "figures": {"loss": 0.5}}))
"""


def settings_for(kafka: str, prefix: str, folder: Path, **more: Any) -> Settings:
    return msgspec.structs.replace(
        stage_settings(kafka, prefix, folder),
        trainer_report_port=0,
        trainer_report_silent_seconds=3.0,
        trainer_runs_max=4,
        webhook_timeout_ms=2_000,
        **more,
    )


@asynccontextmanager
async def a_runner(settings: Settings) -> AsyncIterator[None]:
    async with bootstrap.open_runner(settings, "one") as runner:
        running = asyncio.create_task(runner.run(lambda: None))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def cause_of(run: RunState) -> tuple[str, str]:
    return run.status, (run.detail or "").partition(":")[0]


async def ended_files(settings: Settings, run_id: str) -> list[str]:
    """Names of the files that are kept of a run that ended."""
    async with asyncio.timeout(SECONDS_MAX):
        while (told := (await bootstrap.training_progress(settings)).of(run_id, "lines")) is None or (
            told.phase != "ended"
        ):
            await asyncio.sleep(0.1)
    return [] if told.kept is None else [each.name for each in told.kept.files]


async def report(ask: Received, *steps: tuple[str, str, bytes]) -> list[int]:
    """Report as the ask says; return the statuses of the answers."""
    where = ask.verified()["data"]["report"]
    headers = {"authorization": f"Bearer {where['key']}"}
    async with httpx.AsyncClient(timeout=SECONDS_MAX, headers=headers) as client:
        return [
            (await client.request(method, f"{where['url']}{path}", content=content)).status_code
            for method, path, content in steps
        ]


LINE = b'{"type": "progress", "epoch": 1, "figures": {"loss": 0.25}}\n'
END = b'{"type": "finished", "metrics": {"loss": 0.25}}'


@pytest.mark.timeout(300)
async def test_an_orchestrator_does_runs_lies_and_is_silent(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    async with Receiver() as receiver:
        urls = {name: receiver.url(f"/{name}") for name in ("well", "lies", "silent", "refuses", "gone")}
        settings = settings_for(
            kafka,
            topic_prefix,
            tmp_path,
            trainer_webhooks=";".join(f"{name}={url}?token=hidden" for name, url in urls.items()),
            trainer_webhook_secret=SECRET,
        )
        refusal = Answer(403, body=b"no such job, token=hidden")
        receiver.always = {"/refuses?token=hidden": refusal, "/gone?token=hidden": Answer(503)}
        async with bootstrap.open_registry(settings) as registry:
            stage = RunStage(registry, settings, tmp_path)
            artifact = (tmp_path / "artifact").read_bytes()
            async with a_runner(settings):
                bad = {await stage.ask(each): each for each in ("silent", "refuses", "gone", "lies")}
                well = await stage.ask("well", of_trainer={"epochs": 2})
                (ask,) = await receiver.until(1, "/well?token=hidden")
                order = ask.verified()["data"]["order"]
                assert (order["run_id"], order["parameters"]) == (well, {"epochs": 2})
                steps = (
                    ("POST", "/progress?sequence=1", LINE),
                    ("POST", "/progress?sequence=1", LINE),
                    ("PUT", "/files/artifact.safetensors", artifact),
                    ("POST", "/end", END),
                )
                assert await report(ask, *steps) == [204, 409, 204, 204]
                assert cause_of(await stage.ended(well)) == ("succeeded", "")
                (lied,) = await receiver.until(1, "/lies?token=hidden")
                assert await report(lied, ("POST", "/end", END)) == [204]
                causes = {"silent": "silent", "refuses": "not-possible", "gone": "crashed", "lies": "no-artifact"}
                for run_id, name in bad.items():
                    run = await stage.ended(run_id)
                    assert cause_of(run) == ("failed", causes[name]), run
                    assert "hidden" not in (run.detail or "")
                await _cancelled(stage, receiver)
            version = stage.registry.state("lines").versions["v1"]
            assert (version.run_id, version.metrics) == (well, {"loss": 0.25})
            assert list(stage.registry.state("lines").versions) == ["v1"]
            kinds = [each.verified()["type"] for each in receiver.at("/silent?token=hidden")]
            assert kinds == ["hotswap.training.ask.v1", "hotswap.training.cancel.v1"]


async def _cancelled(stage: RunStage, receiver: Receiver) -> None:
    run_id = await stage.ask("well")
    ask = (await receiver.until(2, "/well?token=hidden"))[-1]
    assert await report(ask, ("POST", "/progress?sequence=1", LINE)) == [204]
    await stage.until(run_id, lambda run: run.status == "running")
    cancel = CancelTraining(command_id="c", actor="ada", model_name="lines", run_id=run_id, reason="enough")
    assert (await stage.send(cancel)).status == "accepted"
    told = (await receiver.until(3, "/well?token=hidden"))[-1].verified()
    assert (told["type"], told["data"]["run_id"]) == ("hotswap.training.cancel.v1", run_id)
    assert await report(ask, ("POST", "/progress?sequence=2", LINE)) == [410]


@pytest.mark.timeout(300)
async def test_a_job_does_runs_and_is_deleted(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "job.yaml").write_text(TEMPLATE)
    here = environment_with(
        {
            "HOTSWAP_HOME": str(tmp_path / "container"),
            "HOTSWAP_TRAINER_COMMANDS": f"in-cluster={sys.executable} {tmp_path / 'program.py'}",
        }
    )
    async with KubernetesServer(tmp_path / "account", program=hotswap(), environment=here) as cluster:
        settings = settings_for(
            kafka,
            topic_prefix,
            tmp_path,
            trainer_jobs=f"in-cluster={tmp_path / 'job.yaml'};not-there={tmp_path / 'job.yaml'}",
            kubernetes_url=cluster.url,
            kubernetes_account=cluster.account,
        )
        settings = msgspec.structs.replace(settings, trainer_report_silent_seconds=SECONDS_MAX)
        async with bootstrap.open_registry(settings) as registry:
            stage = RunStage(registry, settings, tmp_path)
            content = (tmp_path / "artifact").read_bytes()
            digest = (await bootstrap.artifact_store(settings).put_artifact(content)).digest
            async with a_runner(settings):
                well = await stage.ask("in-cluster", datasets=(digest,))
                bad = await stage.ask("in-cluster", of_trainer={"mode": "bad"}, datasets=(digest,))
                unknown = await stage.ask("not-there", datasets=(digest,))
                run = await stage.ended(well)
                assert cause_of(run) == ("succeeded", ""), run
                assert registry.state("lines").versions[run.model_version or ""].artifact.digest == digest
                kept = await ended_files(settings, well)
                assert {"confusion.json", "log.txt"} <= set(kept)
                run = await stage.ended(bad)
                assert cause_of(run) == ("failed", "crashed"), run
                assert "exit code 3" in (run.detail or "")
                assert "works" in (run.detail or "")
                run = await stage.ended(unknown)
                assert cause_of(run) == ("failed", "not-possible")
                assert "no trainer 'not-there'" in (run.detail or "")
                slow = await stage.ask("in-cluster", of_trainer={"mode": "slow"}, datasets=(digest,))
                async with asyncio.timeout(SECONDS_MAX):
                    while not cluster.containers:
                        await asyncio.sleep(0.05)
                (container,) = cluster.containers.values()
                cancel = CancelTraining(command_id="c", actor="ada", model_name="lines", run_id=slow)
                assert (await stage.send(cancel)).status == "accepted"
                async with asyncio.timeout(SECONDS_MAX):
                    while cluster.containers or container.exit_code is None:
                        await asyncio.sleep(0.05)
            assert len(cluster.deleted) == 4
