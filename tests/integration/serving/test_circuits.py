"""Circuits and the off switch through running workers on the real broker: what callers get, and by which event."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hotswap_events.registry.state import CircuitPosition
from hotswap_events.serving.commands import CloseCircuit, DisableModel, EnableModel, OpenCircuit, SetServingPolicy
from hotswap_events.serving.control import CircuitClosed, CircuitOpened, ServingPolicy
from hotswap_stream.adapters.torch.modules.architectures import manifest_of
from hotswap_stream.application.artifacts.heuristic import constant_artifact
from hotswap_stream.application.registry.fold import Applied
from hotswap_stream.settings import Settings
from tests.support.samples.torch_artifacts import GOOD, OVERFLOWING, fragile_artifact
from tests.support.stages.serving import (
    Answers,
    Stage,
    circuit_position,
    open_stage,
    request_body,
    stage_settings,
)
from tests.support.stages.workers import running_worker, until_loaded

POLICY = ServingPolicy(answers_min=10, open_seconds=0.5, probes=3, probe_share=0.5)


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return stage_settings(kafka, topic_prefix, tmp_path)


@asynccontextmanager
async def workers(settings: Settings, *names: str) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(running_worker(settings, name)) for name in names]
        for worker in started:
            await until_loaded(worker, "v1", "v2")
        yield


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    """v2, which is fragile, is in production; v1 (answers 1) was before."""
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.register(await stage.store.put_artifact(fragile_artifact()))
        await stage.switch("v1")
        await stage.switch("v2")
        yield stage


async def ask(stage: Stage, data: list[float]) -> None:
    for partition in (0, 1):
        await stage.send(request_body(data=data), partition=partition)


async def ask_until(stage: Stage, data: list[float], wanted: CircuitPosition, rounds_max: int = 2_000) -> None:
    for _round in range(rounds_max):
        if circuit_position(stage) == wanted:
            return
        await ask(stage, data)
    raise AssertionError(
        f"the circuit is {circuit_position(stage)}, not {wanted}, after {rounds_max} requests a partition"
    )


def all_of(answers: Answers) -> list[dict[str, Any]]:
    return [answer for partition in answers.by_partition for answer in partition]


def offset_of(stage: Stage, event_type: type) -> int:
    """Offset of the first event of this type."""
    return next(
        entry.record.offset
        for entry in stage.registry.tail
        if isinstance(entry.outcome, Applied) and isinstance(entry.outcome.event.data, event_type)
    )


def fallback_for(answer: dict[str, Any]) -> str | None:
    name: str | None = answer["parameters"].get("fallback_for")
    return name


async def test_a_failing_version_is_replaced_probed_and_brought_back(stage: Stage, settings: Settings) -> None:
    await stage.command(SetServingPolicy(**stage.meta(), policy=POLICY))
    async with workers(settings, "w1", "w2"), stage.reading() as answers:
        await ask_until(stage, OVERFLOWING, "open")
        await ask(stage, GOOD)
        await answers.until(lambda: any(map(fallback_for, all_of(answers))))
        # In the partition of another worker they may come later: their requests are put among the dead letters first.
        await answers.until(lambda: any("error" in answer for answer in all_of(answers)))
        stand_ins = [answer for answer in all_of(answers) if fallback_for(answer)]
        assert {(answer["model_version"], fallback_for(answer)) for answer in stand_ins} == {("v1", "v2")}
        opened = offset_of(stage, CircuitOpened)
        assert all(answer["parameters"]["registry_offset"] >= opened for answer in stand_ins)
        failures = [answer for answer in all_of(answers) if "error" in answer]
        assert {answer["error_code"] for answer in failures} == {"model-failure"}

        await ask_until(stage, GOOD, "closed")
        closed = offset_of(stage, CircuitClosed)
        await ask(stage, GOOD)
        await answers.until(lambda: any(chosen_by(answer) == closed for answer in all_of(answers)))
        back = [answer for answer in all_of(answers) if chosen_by(answer) == closed]
        assert {(answer["model_version"], fallback_for(answer)) for answer in back} == {("v2", None)}


def chosen_by(answer: dict[str, Any]) -> int | None:
    offset: int | None = answer["parameters"].get("registry_offset")
    return offset


async def test_a_heuristic_stands_in_until_a_reset_by_hand(stage: Stage, settings: Settings) -> None:
    content = constant_artifact(manifest_of("linear", {}), {"y": [0.25, 0.75]})
    heuristic = await stage.register(await stage.store.put_artifact(content))
    policy = ServingPolicy(fallback="version", fallback_version=heuristic, open_seconds=3_600.0)
    await stage.command(SetServingPolicy(**stage.meta(), policy=policy))
    async with workers(settings, "w1"), stage.reading() as answers:
        await ask(stage, GOOD)
        await answers.until_count(1)
        opened = await stage.command(OpenCircuit(**stage.meta(), model_version="v2"))
        await ask_until_chosen_by(stage, answers, opened.offset)
        last = answers.by_partition[0][-1]
        assert (last["model_version"], fallback_for(last)) == (heuristic, "v2")
        assert last["outputs"][0]["data"] == [0.25, 0.75]
        reset = await stage.command(CloseCircuit(**stage.meta(), model_version="v2"))
        await ask_until_chosen_by(stage, answers, reset.offset)
        assert answers.by_partition[0][-1]["model_version"] == "v2"


async def ask_and_wait(stage: Stage, answers: Answers) -> None:
    """One request a partition, when all before were answered, and its answer."""
    before = [len(partition) for partition in answers.by_partition]
    await ask(stage, GOOD)
    await answers.until(lambda: all(len(now) > then for now, then in zip(answers.by_partition, before, strict=True)))


async def ask_until_chosen_by(stage: Stage, answers: Answers, offset: int | None, rounds_max: int = 500) -> None:
    """Ask until both partitions are answered by the version that this event chose."""
    for _round in range(rounds_max):
        await ask_and_wait(stage, answers)
        if all(partition and chosen_by(partition[-1]) == offset for partition in answers.by_partition):
            return
    raise AssertionError(f"no answer was chosen by the event at {offset}")


async def test_a_disabled_model_refuses_until_it_is_enabled(stage: Stage, settings: Settings) -> None:
    async with workers(settings, "w1"), stage.reading() as answers:
        await ask(stage, GOOD)
        await answers.until_count(1)
        await stage.command(DisableModel(**stage.meta(), reason="wrong answers"))
        await answers_until_error(stage, answers)
        last = answers.by_partition[0][-1]
        assert last["error_code"] == "model-disabled"
        assert "wrong answers" in last["error"]
        enabled = await stage.command(EnableModel(**stage.meta()))
        await ask_until_chosen_by(stage, answers, enabled.offset)
        assert answers.by_partition[0][-1]["model_version"] == "v2"


async def answers_until_error(stage: Stage, answers: Answers, rounds_max: int = 500) -> None:
    for _round in range(rounds_max):
        await ask_and_wait(stage, answers)
        if "error" in answers.by_partition[0][-1]:
            return
    raise AssertionError("no request was refused")
