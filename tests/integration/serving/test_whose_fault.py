"""Whose fault a failure is, through running workers on the real broker: what the input caused says nothing against the
version, what the version before could do says much."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from msgspec.structs import replace
from torch import nn

from hotswap_events.inference.observation import Observation
from hotswap_events.registry.state import CircuitPosition
from hotswap_events.serving.commands import OpenCircuit, SetServingPolicy
from hotswap_events.serving.control import ServingPolicy
from hotswap_stream.adapters.torch.modules.architectures import Signature, architecture, build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.application.alerts.window import totals_of
from hotswap_stream.application.artifacts.heuristic import constant_artifact
from hotswap_stream.application.artifacts.manifest import TensorSpec
from hotswap_stream.application.rollouts.analysis.figures import failures_in
from hotswap_stream.settings import Settings
from tests.support.stages.serving import (
    MODEL,
    Answers,
    Stage,
    circuit_position,
    open_stage,
    request_body,
    stage_settings,
)
from tests.support.stages.workers import running_worker, until_loaded

POLICY = ServingPolicy(answers_min=10, open_seconds=3_600.0)
SMALL, LARGE = 10, 1_000
"""Users and items that a version knows."""
REQUESTS = 60

_BREAKABLE = Signature(
    inputs=(TensorSpec(name="ids", datatype="INT64", shape=(-1, 2)),),
    outputs=(TensorSpec(name="score", datatype="FP32", shape=(-1, 1)),),
    warm_up={"ids": (1, 2)},
)
broken: set[str] = set()
"""Versions of `breakable` that fail from now on, by their argument."""


@architecture("breakable", lambda name="": _BREAKABLE)  # noqa: ARG005  # as the class takes it
class Breakable(nn.Module):
    """Works until it is told to break, whatever comes in then."""

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        if self.name in broken:
            raise IndexError("it broke")
        return ids[:, :1].to(torch.float32) + self.bias


@pytest.fixture
def settings(kafka: str, topic_prefix: str, tmp_path: Path) -> Settings:
    return replace(stage_settings(kafka, topic_prefix, tmp_path), executor="eager")


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    async with open_stage(settings) as stage:
        yield stage
    broken.clear()


async def register(stage: Stage, architecture_name: str, **arguments: Any) -> str:
    content = save_module(build_module(architecture_name, arguments), manifest_of(architecture_name, arguments))
    return await stage.register(await stage.store.put_artifact(content))


async def in_production(stage: Stage, *sizes: int) -> None:
    """Recommenders that know those numbers of users and items; the last one in production, each was before."""
    for size in sizes:
        await stage.switch(await register(stage, "recommender", users=size, items=size, dimensions=2))
    await stage.command(SetServingPolicy(**stage.meta(), policy=POLICY))


async def ask(stage: Stage, answers: Answers, count: int, ids: list[int]) -> list[dict[str, Any]]:
    """So many requests about these ids, and their answers."""
    got = answers.by_partition[0]
    before = len(got)
    for _ in range(count):
        await stage.send(request_body(name="ids", shape=[1, 2], datatype="INT64", data=ids))
    await answers.until(lambda: len(got) >= before + count)
    return got[before:]


async def ask_until(stage: Stage, answers: Answers, ids: list[int], wanted: CircuitPosition) -> None:
    for _round in range(2_000):
        if circuit_position(stage) == wanted:
            return
        await ask(stage, answers, 1, ids)
    raise AssertionError(f"the circuit is {circuit_position(stage)}, not {wanted}")


async def observed(stage: Stage, requests: int) -> list[Observation]:
    """The first observations that together tell of that number of requests."""
    count = 0
    while True:
        count += 1
        records = await stage.records(stage.topics.observations, None, count)
        found = [msgspec.json.decode(record.value, type=Observation) for record in records]
        if sum(record.answers + sum(record.errors.values()) for record in found) >= requests:
            return found


async def test_ids_that_no_table_has_say_nothing_against_a_version(stage: Stage, settings: Settings) -> None:
    """Fifty anonymous requests with ids out of range opened the circuit and put the fleet back."""
    await in_production(stage, LARGE, LARGE)
    async with running_worker(settings) as worker, stage.reading() as reading:
        await until_loaded(worker, "v1", "v2")
        good = await ask(stage, reading, 1, [1, 2])
        answers = await ask(stage, reading, REQUESTS, [LARGE, 0])
        after = await ask(stage, reading, 1, [1, 2])
        found = await observed(stage, REQUESTS + 2)
    assert {answer["error_code"] for answer in answers} == {"wrong-input"}
    assert all("the model refuses this input" in answer["error"] for answer in answers)
    assert {answer["model_version"] for answer in (*good, *answers, *after)} == {"v2"}
    assert circuit_position(stage) == "closed"
    assert sum(failures_in(record) for record in found) == 0
    assert sum(totals_of(record).failures for record in found) == 0


async def test_a_version_that_cannot_do_what_the_one_before_could_is_put_back(stage: Stage, settings: Settings) -> None:
    await in_production(stage, LARGE, SMALL)
    async with running_worker(settings) as worker, stage.reading() as answers:
        await until_loaded(worker, "v1", "v2")
        await ask(stage, answers, 1, [1, 2])
        await ask_until(stage, answers, [SMALL, 0], "open")
        while "outputs" not in (await ask(stage, answers, 1, [SMALL, 0]))[0]:  # the worker has yet to read it
            pass
        codes = {answer.get("error_code") for answer in answers.by_partition[0]}
        assert codes == {None, "model-failure"}
        assert answers.by_partition[0][-1]["model_version"] == "v1"


async def test_a_version_that_fails_with_its_own_samples_is_to_blame(stage: Stage, settings: Settings) -> None:
    """It fails for all that comes, with an error that an input could cause; so does the one before."""
    for name in ("old", "new"):
        await stage.switch(await register(stage, "breakable", name=name))
    await stage.command(SetServingPolicy(**stage.meta(), policy=POLICY))
    async with running_worker(settings), stage.reading() as answers:
        await ask(stage, answers, 1, [1, 2])
        broken.update({"old", "new"})
        await ask_until(stage, answers, [1, 2], "open")
        assert "model-failure" in {answer.get("error_code") for answer in answers.by_partition[0]}


async def test_a_single_version_is_not_blamed_for_inputs_and_a_heuristic_is_no_witness(
    stage: Stage, settings: Settings
) -> None:
    await in_production(stage, SMALL)
    like = manifest_of("recommender", {"users": SMALL, "items": SMALL, "dimensions": 2})
    heuristic = await stage.register(await stage.store.put_artifact(constant_artifact(like, {"score": [0.5]})))
    policy = replace(POLICY, fallback="version", fallback_version=heuristic)
    await stage.command(SetServingPolicy(**stage.meta(), policy=policy))
    async with running_worker(settings), stage.reading() as reading:
        answers = await ask(stage, reading, REQUESTS, [-5, 3])
        (after,) = await ask(stage, reading, 1, [3, 3])
    assert {answer["error_code"] for answer in answers} == {"wrong-input"}
    assert after["model_version"] == "v1"
    assert stage.registry.state(MODEL).serving.circuits.get("v1") is None


async def test_a_probe_with_a_wrong_input_proves_nothing(stage: Stage, settings: Settings) -> None:
    """A circuit that is tried again is neither opened nor closed by what any version refuses."""
    await in_production(stage, LARGE, LARGE)
    policy = replace(POLICY, open_seconds=0.2, probes=3, probe_share=1.0)
    await stage.command(SetServingPolicy(**stage.meta(), policy=policy))
    async with running_worker(settings) as worker, stage.reading() as answers:
        await until_loaded(worker, "v1", "v2")
        await ask(stage, answers, 1, [1, 2])
        await stage.command(OpenCircuit(**stage.meta(), model_version="v2"))
        await ask_until(stage, answers, [LARGE, 0], "half-open")
        await ask(stage, answers, 20, [LARGE, 0])
        assert circuit_position(stage) == "half-open"
        await ask_until(stage, answers, [1, 2], "closed")
