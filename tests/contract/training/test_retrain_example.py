"""`examples/retrain_and_reload.py`: each end of a run has an exit code of its own."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from examples.retrain_and_reload import DONE, FAILED, REFUSED, TIMED_OUT, main
from hotswap_events.commands import ClaimTraining, FailTraining, StartTraining
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from tests.support.checkout import ROOT
from tests.support.stages.http import MODEL, PASSED, HttpStage, open_http_stage

SECONDS_MAX = 60.0


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpStage]:
    monkeypatch.setattr("examples.retrain_and_reload.LOOK_SECONDS", 0.05)
    async with open_http_stage(MemoryRegistryLog(MemoryRegistry(SystemClock())), tmp_path) as stage:
        monkeypatch.setenv("HOTSWAP_API_URL", stage.url)
        yield stage


class Runner:
    """Does what a runner does, step by step."""

    def __init__(self, stage: HttpStage) -> None:
        self.stage = stage
        self._seen: set[str] = set()

    async def begin(self) -> str:
        """Wait for the next run that is asked for, claim it and begin it; return its id."""
        async with asyncio.timeout(SECONDS_MAX):
            while not (new := [run for run in self.stage.registry.state(MODEL).runs if run not in self._seen]):
                await asyncio.sleep(0.02)
        run_id = new[0]
        self._seen.add(run_id)
        fields: dict[str, Any] = {"actor": "trainer:one", "model_name": MODEL, "run_id": run_id}
        for command in (
            ClaimTraining(command_id=f"{run_id}-c", runner="one", **fields),
            StartTraining(command_id=f"{run_id}-s", architecture="als", **fields),
        ):
            assert (await self.stage.registry.handle(command)).status == "accepted"
        return run_id

    async def fail(self, run_id: str, cause: Any) -> None:
        fields: dict[str, Any] = {"actor": "trainer:one", "model_name": MODEL, "run_id": run_id}
        command = FailTraining(command_id=f"{run_id}-f", cause=cause, detail="no luck", **fields)
        assert (await self.stage.registry.handle(command)).status == "accepted"

    async def succeed(self, run_id: str, *, accuracy: float) -> None:
        active = self.stage.registry.state(MODEL).active_version
        version = await self.stage.registered(run_id=run_id)
        baseline = {"baseline_version": active, "baseline_figures": {"accuracy": 0.9}} if active else {}
        figures = {**PASSED, "figures": {"accuracy": accuracy}, **baseline}
        await self.stage.accepted(f"versions/{version}/validate", figures)


async def test_what_came_of_it_is_the_exit_code(stage: HttpStage, capsys: pytest.CaptureFixture[str]) -> None:
    runner = Runner(stage)

    async def retrained(*arguments: str) -> "asyncio.Task[int]":
        return asyncio.create_task(asyncio.to_thread(main, [MODEL, "als", *arguments]))

    first = await retrained("factors=8")
    await runner.succeed(await runner.begin(), accuracy=0.97)
    assert await first == DONE
    assert stage.registry.state(MODEL).active_version == "v1"
    assert "v1 is in production" in capsys.readouterr().out

    worse = await retrained()
    await runner.succeed(await runner.begin(), accuracy=0.2)
    assert await worse == FAILED

    lost = await retrained()
    await runner.fail(await runner.begin(), "silent")
    again = await runner.begin()
    assert again.endswith("~2")
    await runner.succeed(again, accuracy=0.98)
    assert await lost == DONE
    assert stage.registry.state(MODEL).active_version == "v3"

    bad = await retrained()
    await runner.fail(await runner.begin(), "bad-data")
    assert await bad == FAILED
    assert await (await retrained("factors=-1")) == REFUSED
    assert await (await retrained("--dataset", "nobody-knows-it", "factors=8")) == REFUSED
    assert "no dataset" in capsys.readouterr().err
    assert await (await retrained("--timeout", "0")) == TIMED_OUT


async def test_the_one_in_a_shell(stage: HttpStage) -> None:
    runner = Runner(stage)

    def retrained() -> "asyncio.Task[subprocess.CompletedProcess[str]]":
        command = [str(ROOT / "examples" / "retrain_and_reload.sh"), MODEL, "als"]
        return asyncio.create_task(
            asyncio.to_thread(
                subprocess.run, command, env=dict(os.environ), capture_output=True, text=True, check=False
            )
        )

    well = retrained()
    await runner.succeed(await runner.begin(), accuracy=0.97)
    assert ((await well).returncode, (await well).stdout) == (0, "v1 is in production\n")
    failed = retrained()
    await runner.fail(await runner.begin(), "bad-data")
    assert (await failed).returncode == 1
