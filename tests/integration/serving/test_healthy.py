"""`healthy`: workers and agents that can do their work, and such that stand still, were killed, or are stuck."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream import bootstrap
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.swap.loader import Arrays, LoadedModel, ModelLoader
from hotswap_stream.home.pulse import NotHealthyError, Pulse, check
from hotswap_stream.workers.inference import worker as worker_module
from hotswap_stream.workers.inference.health import signs as life_signs
from tests.support.processes.commands import hotswap, running
from tests.support.stages.asking import running_api
from tests.support.stages.serving import MODEL, open_stage, request_body, stage_settings

SECONDS_MAX = 60.0


class Check:
    """The command, as a container would run it."""

    def __init__(self, variables: dict[str, str], *arguments: str) -> None:
        self._environment = variables
        self._arguments = arguments

    def said(self) -> tuple[int, str]:
        done = subprocess.run(
            hotswap("healthy", *self._arguments),
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def until(self, code: int) -> str:
        began_s = time.monotonic()
        while True:
            found, said = self.said()
            if found == code:
                return said
            assert found in (0, 1), said
            assert time.monotonic() - began_s < SECONDS_MAX, said
            time.sleep(0.2)


@pytest.mark.parametrize(
    ("command", "check"),
    [
        (("worker", "--name", "w1"), ("worker", "--name", "w1")),
        (("agents",), ("agents",)),
    ],
    ids=["worker", "agents"],
)
def test_a_process_is_healthy_while_it_runs(
    command: tuple[str, ...],
    check: tuple[str, ...],
    environment: dict[str, str],
) -> None:
    asked = Check(environment, *check)
    code, said = asked.said()
    assert (code, "is at work with" in said) == (1, True), said
    with running(environment, *command) as process:
        assert "could do its work" in asked.until(0)
        strict = Check(environment, *check, "--seconds-max", "3")
        strict.until(0)
        os.kill(process.pid, signal.SIGSTOP)
        assert "last could do its work" in strict.until(1)
        os.kill(process.pid, signal.SIGCONT)
        strict.until(0)
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert "is at work with" in asked.until(1)


def test_one_that_was_killed_is_not(environment: dict[str, str]) -> None:
    with running(environment, "worker", "--name", "w1") as process:
        Check(environment, "worker", "--name", "w1").until(0)
        process.kill()
        process.communicate()
    assert "last could do its work" in Check(environment, "worker", "--name", "w1", "--seconds-max", "2").until(1)


class _Blocking:
    """A version whose passes wait until they may go on."""

    def __init__(self, model: LoadedModel, going: threading.Event) -> None:
        self._model, self._going = model, going

    @property
    def manifest(self) -> ArtifactManifest:
        return self._model.manifest

    @property
    def executor(self) -> str:
        return self._model.executor

    def padded_rows(self, rows: int) -> int:
        return self._model.padded_rows(rows)

    def infer(self, inputs: Arrays) -> Arrays:
        self._going.wait()
        return self._model.infer(inputs)

    def close(self) -> None:
        self._model.close()


class _BlockingLoader:
    def __init__(self, inner: ModelLoader) -> None:
        self.going = threading.Event()
        self._inner = inner

    async def load(
        self, digest: str, options: VersionOptions = PLAIN, *, graph_digest: str | None = None
    ) -> LoadedModel:
        return _Blocking(await self._inner.load(digest, options, graph_digest=graph_digest), self.going)

    def close(self) -> None:
        self._inner.close()


async def test_a_worker_with_a_stuck_batch_or_without_kafka_is_not_well(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "COMPUTE_SECONDS_MAX", 0.5)
    settings = stage_settings(kafka, topic_prefix, tmp_path)
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        worker = await bootstrap.build_worker(settings, "w1")
        loader = worker._loader = _BlockingLoader(worker._loader)
        await worker.start()
        well = asyncio.Event()
        running_worker = asyncio.create_task(worker.run(well.set))

        async def until(*, is_well: bool) -> None:
            async with asyncio.timeout(SECONDS_MAX):
                while (worker.trouble() is None) != is_well:
                    await asyncio.sleep(0.05)

        try:
            await well.wait()
            await stage.send(request_body("r"))
            await until(is_well=False)
            loader.going.set()
            await stage.answers(1)
            await until(is_well=True)
            worker._fleet._published_s -= 3_600
            assert worker.trouble() is not None
            await until(is_well=True)
        finally:
            loader.going.set()
            running_worker.cancel()
            await asyncio.gather(running_worker, return_exceptions=True)
            await worker.stop()


class _Slow(_Blocking):
    """Passes that are long enough for a thread of their own."""

    def infer(self, inputs: Arrays) -> Arrays:
        time.sleep(0.005)
        return super().infer(inputs)


class _SlowLoader(_BlockingLoader):
    async def load(
        self, digest: str, options: VersionOptions = PLAIN, *, graph_digest: str | None = None
    ) -> LoadedModel:
        return _Slow(await self._inner.load(digest, options, graph_digest=graph_digest), self.going)


async def test_requests_that_stand_still_are_told_by_health_and_by_the_api(
    kafka: str, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition stood still for ever; the worker was healthy and the model ready."""
    monkeypatch.setattr(life_signs, "STANDSTILL_SECONDS_MAX", 2.0)
    settings = msgspec.structs.replace(stage_settings(kafka, topic_prefix, tmp_path), api_port=0)
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        worker = await bootstrap.build_worker(settings, "w1")
        loader = worker._loader = _SlowLoader(worker._loader)
        loader.going.set()
        await worker.start()
        pulse = Pulse(tmp_path, "worker", "w1")
        run = asyncio.create_task(worker.run(pulse.beat, on_trouble=pulse.trouble, on_advice=pulse.advise))
        ready = f"/v2/models/{MODEL}/ready"
        try:
            async with running_api(settings) as url, httpx.AsyncClient(base_url=url, timeout=60) as http:

                async def until(code: int) -> dict[str, Any]:
                    async with asyncio.timeout(SECONDS_MAX):
                        while (answer := await http.get(ready)).status_code != code:
                            await asyncio.sleep(0.1)
                    said: dict[str, Any] = answer.json()
                    return said

                await until(200)
                for _request in range(5):
                    await stage.send(request_body())
                await stage.answers(5)
                loader.going.clear()
                await stage.send(request_body(), partition=1)
                said = await until(503)
                assert "requests wait in partitions 1" in said["error"], said
                with pytest.raises(NotHealthyError, match="requests wait in partitions 1"):
                    check(tmp_path, "worker", "w1")
                (degraded,) = (await http.get("/api/health/ready")).json()["degraded"]
                assert "requests wait in partitions 1" in degraded
                fleet = (await http.get(f"/api/models/{MODEL}/fleet")).json()
                assert fleet["workers"][0]["stalled_partitions"] == [1]
                loader.going.set()
                await until(200)
                async with asyncio.timeout(SECONDS_MAX):
                    while worker.trouble() is not None:
                        await asyncio.sleep(0.1)
        finally:
            loader.going.set()
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            await worker.stop()
