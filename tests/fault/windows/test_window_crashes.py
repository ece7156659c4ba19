"""Workers are killed and put to sleep at random moments: every window is what it would be had nothing happened."""

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from hotswap_stream.settings import Settings, child_environment
from tests.support.stages.serving import MODEL, PARTITIONS, Stage, open_stage, stage_settings
from tests.support.stages.windows import Series, mean_artifact

SERIES_A_PARTITION = 6
SESSION_SECONDS = 10.0


class WorkerProcesses:
    """Worker processes by name."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._environment = child_environment(settings)
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "hotswap_stream.cli", "worker", "--name", name, "--model", MODEL],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def send_signal(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def kill_all(self) -> None:
        for name in list(self._running):
            self.kill(name)


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        await stage.switch(await stage.register(await stage.store.put_artifact(mean_artifact())))
        yield stage


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[WorkerProcesses]:
    processes = WorkerProcesses(settings, tmp_path)
    yield processes
    processes.kill_all()


async def send(series: Series, count: int, chance: random.Random) -> None:
    for _ in range(count):
        partition = chance.randrange(PARTITIONS)
        name = f"p{partition}-{chance.randrange(SERIES_A_PARTITION)}"
        await series.send(name, chance.choice((1, 1, 1, 2, 5)), partition=partition)


async def test_windows_survive_kills_at_any_moment(stage: Stage, workers: WorkerProcesses) -> None:
    """Between two writes of windows, between answer and write, with requests on the way."""
    chance = random.Random(20)
    series = Series(stage)
    for _ in range(6):
        workers.start("w1")
        for _ in range(chance.randrange(2, 6)):
            await send(series, chance.randrange(1, 40), chance)
            if chance.random() < 0.5:
                await series.check()
            await asyncio.sleep(chance.random())
        workers.kill("w1")
    workers.start("w1")
    await send(series, 20, chance)
    await series.check()


async def test_a_sleeper_that_wakes_spoils_no_window(stage: Stage, workers: WorkerProcesses) -> None:
    """Its successor has gone on meanwhile; what it still writes must not win."""
    chance = random.Random(21)
    series = Series(stage)
    workers.start("w1")
    await send(series, 60, chance)
    await series.check()
    await send(series, 40, chance)
    workers.send_signal("w1", signal.SIGSTOP)
    workers.start("w2")
    await asyncio.sleep(SESSION_SECONDS)
    await send(series, 60, chance)
    await series.check()
    workers.send_signal("w1", signal.SIGCONT)
    await send(series, 60, chance)
    await series.check()
    workers.kill("w2")
    await send(series, 30, chance)
    await series.check()
    workers.kill("w1")
    workers.start("w3")
    await send(series, 30, chance)
    await series.check()
