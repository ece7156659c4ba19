"""Files that are dropped into a folder, on the real broker: runs by a real runner, the first version active, the next
one a shadow by itself, a bad file aside.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hotswap_events.rollout_strategy import ShadowStrategy
from hotswap_stream import bootstrap
from hotswap_stream.domain.state.model import ModelState
from tests.support.stages.agents import agents_stage
from tests.support.stages.serving import stage_settings

MODEL = "digits"
SECONDS_MAX = 150.0


@pytest.mark.timeout(240)
async def test_a_file_becomes_a_version_and_the_next_one_a_shadow(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = stage_settings(kafka, topic_prefix, tmp_path)
    folder, agents = tmp_path / "data", tmp_path / "agents"
    for each in (folder, agents):
        each.mkdir()
    # Dropped while nothing watched.
    bootstrap.write_digits(folder / "monday.safetensors", "good")
    (folder / "notes.txt").write_text("no data")
    stop = asyncio.Event()
    async with (
        agents_stage(kafka, topic_prefix, agents, module="tests.support.processes.configured_agents"),
        bootstrap.open_registry(settings) as registry,
        bootstrap.open_runner(settings, "one") as runner,
        bootstrap.folder_watch(settings, folder, MODEL, trainer="image-classifier", actor="ada") as watched,
    ):

        async def until(holds: Callable[[ModelState], bool]) -> ModelState:
            async with asyncio.timeout(SECONDS_MAX):
                while not holds(state := registry.state(MODEL)):
                    await registry.wait_for_change()
            return state

        tasks = [asyncio.create_task(runner.run(lambda: None)), asyncio.create_task(watched.watch(stop))]
        try:
            state = await until(lambda state: state.active_version is not None)
            assert state.active_version == "v1"
            bootstrap.write_digits(folder / "tuesday.part", "good", seed=1, pixel_noise=0.01)
            os.rename(folder / "tuesday.part", folder / "tuesday.safetensors")
            state = await until(lambda state: state.rollout is not None)
        finally:
            stop.set()
            tasks[0].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    rollout = state.rollout
    assert rollout is not None
    assert isinstance(rollout.strategy, ShadowStrategy)
    assert (rollout.baseline_version, rollout.candidates) == ("v1", ("v2",))
    fired = state.triggers.history
    assert [kept.trigger for kept in fired if hasattr(kept, "run_id")] == ["files", "files"]
    assert [run.status for run in state.runs.values()] == ["succeeded", "succeeded"]
    assert [path.name.partition("-")[2] for path in sorted((folder / "taken").iterdir(), key=_changed)] == [
        "monday.safetensors",
        "tuesday.safetensors",
    ]
    assert sorted(path.name for path in (folder / "bad").iterdir()) == ["notes.txt", "notes.txt.reason.txt"]


def _changed(path: Path) -> float:
    return path.stat().st_mtime
