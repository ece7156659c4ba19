"""Files that start runs, in memory: once by their content, kept back as all triggers are."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from hotswap_events.training.policy import DataTrigger
from hotswap_events.training.triggers import SetTrainingPolicy
from hotswap_stream.application.triggers.files import FileTrigger
from tests.support.clocks import SetClock
from tests.support.samples.registry import EPOCH, MODEL
from tests.support.samples.training import cancel
from tests.support.samples.triggers import FILE, POLICY, set_training_policy
from tests.support.stages.agent_in_memory import AgentStage

OTHER = f"sha256:{'e' * 64}"


@pytest.fixture
async def stage() -> AsyncIterator[AgentStage]:
    stage = await AgentStage().start()
    try:
        yield stage
    finally:
        await stage.stop()


async def test_a_file_starts_one_run_by_its_content(stage: AgentStage) -> None:
    trigger = FileTrigger(stage.registry, SetClock(EPOCH), MODEL)
    assert "does not say that files start runs" in (await trigger.keeps("folder") or "")
    await stage.registry.handle(set_training_policy(replace(POLICY, data=DataTrigger(files=True))))
    assert await trigger.keeps("folder") is None
    assert (await trigger.fire(FILE, "monday.safetensors")).what == "fired"
    (run,) = stage.registry.state(MODEL).runs.values()
    assert run.request is not None
    assert run.request.datasets == (FILE,)
    assert (await trigger.fire(FILE, "the-same-again.safetensors")).what == "known"
    assert "run-on" in (await trigger.keeps("folder") or "")
    assert (await trigger.fire(OTHER, "tuesday.safetensors")).what == "waits"
    await trigger.keeps("folder")
    await stage.registry.handle(cancel(run.run_id))
    # Known for ever, also to a process that is started again.
    other = stage.new_registry()
    await other.start()
    again = FileTrigger(other, SetClock(EPOCH), MODEL)
    assert (await again.fire(FILE, "monday.safetensors")).what == "known"
    assert (await again.fire(OTHER, "tuesday.safetensors")).what == "fired"
    await other.stop()
    await stage.registry.catch_up()
    kept = [type(each).__name__ for each in stage.registry.state(MODEL).triggers.history]
    assert kept == ["FiredTrigger", "SuppressedTrigger", "FiredTrigger"]


async def test_a_bad_file_is_told_in_the_log(stage: AgentStage) -> None:
    trigger = FileTrigger(stage.registry, SetClock(EPOCH), MODEL)
    await stage.registry.handle(set_training_policy(replace(POLICY, data=DataTrigger(files=True))))
    for name in ("one.csv", "two.csv"):
        await trigger.say_bad(name, "it is neither .npz nor .safetensors nor Parquet")
    (told,) = stage.registry.state(MODEL).triggers.history
    assert (told.trigger, getattr(told, "cause", None)) == ("files", "refused")
    assert told.detail == "one.csv: it is neither .npz nor .safetensors nor Parquet"
    assert isinstance(set_training_policy(), SetTrainingPolicy)
