"""Which version serves: what the route chooses, or what stands in for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from msgspec.structs import replace

from hotswap_events.serving.control import (
    CircuitClosed,
    ModelDisabled,
    ModelEnabled,
    ServingPolicy,
    ServingPolicySet,
)
from tests.support.samples.registry import artifact_of, promoted, trained
from tests.support.stages.version_slots import HALF_OPENED, OPENED, TWO_VERSIONS, Stage


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.slots.stop()
    assert stage.loader.in_memory == set()


class TestGraphs:
    async def test_the_loader_is_told_of_a_version_s_graph(self, stage: Stage) -> None:
        await stage.append(replace(trained("v1"), graph=artifact_of("v2")), promoted("v1", forced=True))
        assert stage.loader.graphs == [artifact_of("v2").digest]


class TestRoute:
    async def test_the_active_version_serves(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS)
        assert stage.serving() == ("v2", None, 3)
        assert stage.slots.refused is None

    async def test_an_open_circuit_makes_the_fallback_serve(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS, OPENED)
        assert stage.serving() == ("v1", "v2", 4)
        assert stage.stream.active_offset == 3

    async def test_probes_take_the_guarded_version_at_the_offset_that_half_opened_it(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS, OPENED, HALF_OPENED)
        assert stage.serving() == ("v1", "v2", 5)
        assert stage.slots.route is not None
        assert stage.slots.route.probed == "v2"
        probe = stage.slots.lease_version("v2")
        assert probe is not None
        assert (probe.model_version, probe.registry_offset, probe.fallback_for) == ("v2", 5, None)
        stage.slots.release(probe)

    async def test_a_closed_circuit_brings_it_back_by_the_event_that_closed_it(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS, OPENED, HALF_OPENED)
        await stage.append(CircuitClosed(model_version="v2", cause="probes-passed"))
        assert stage.serving() == ("v2", None, 6)

    async def test_a_disabled_model_serves_nothing_and_is_back_at_once(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS, ModelDisabled())
        assert stage.slots.lease() is None
        refused = stage.slots.refused
        assert refused is not None
        assert (refused.because, refused.registry_offset) == ("model-disabled", 4)
        assert stage.slots.failure == "model 'digits' is disabled"
        await stage.slots.wait_decided()
        loads = len(stage.loader.loaded)
        await stage.append(ModelEnabled())
        assert stage.serving() == ("v2", None, 5)
        assert stage.slots.refused is None
        assert len(stage.loader.loaded) == loads

    async def test_without_a_fallback_an_open_circuit_refuses(self, stage: Stage) -> None:
        await stage.append(trained("v2"), promoted("v2", forced=True), OPENED)
        assert stage.slots.current is None
        assert stage.slots.refused is not None
        assert stage.slots.refused.because == "circuit-open"
        await stage.append(HALF_OPENED)
        assert stage.slots.lease() is None
        probe = stage.slots.lease_version("v2")
        assert probe is not None
        stage.slots.release(probe)

    async def test_a_named_fallback_is_loaded_and_serves(self, stage: Stage) -> None:
        policy = ServingPolicy(fallback="version", fallback_version="v3")
        await stage.append(trained("v3"), *TWO_VERSIONS, ServingPolicySet(policy=policy), OPENED)
        assert stage.serving() == ("v3", "v2", 6)

    async def test_until_the_fallback_is_loaded_the_old_version_serves_on(self, stage: Stage) -> None:
        stage.loader.held_back["v1"] = asyncio.Event()
        await stage.append(trained("v1"), trained("v2"), promoted("v2", forced=True))
        await stage.append(ServingPolicySet(policy=ServingPolicy(fallback="version", fallback_version="v1")), OPENED)
        assert stage.serving() == ("v2", None, 2)
        stage.loader.held_back["v1"].set()
        await stage.settle()
        assert stage.serving() == ("v1", "v2", 4)

    async def test_a_fallback_that_does_not_load_leaves_the_old_version_serving(self, stage: Stage) -> None:
        stage.loader.broken.add("v1")
        await stage.append(trained("v2"), promoted("v2", forced=True), trained("v1"))
        await stage.append(ServingPolicySet(policy=ServingPolicy(fallback="version", fallback_version="v1")), OPENED)
        assert stage.serving() == ("v2", None, 1)
        assert stage.slots.states()["v1"].state == "failed"
        assert stage.failures == []

    async def test_an_active_version_that_does_not_load_is_reported_once_an_event(self, stage: Stage) -> None:
        stage.loader.broken.add("v2")
        await stage.append(trained("v1"), promoted("v1", forced=True), trained("v2"))
        assert stage.failures == []
        await stage.append(promoted("v2", "v1", forced=True))
        assert [failure.model_version for failure in stage.failures] == ["v2"]
        assert stage.serving() == ("v1", None, 1)
        assert stage.loader.loaded.count("v2") == 2


class TestSettled:
    async def test_whoever_waits_goes_on_when_what_was_chosen_answers(self, stage: Stage) -> None:
        stage.loader.held_back["v2"] = asyncio.Event()
        await stage.append(*TWO_VERSIONS[:2])
        await asyncio.wait_for(stage.slots.wait_settled(), 60)
        await stage.append(*TWO_VERSIONS[2:])
        waiting = asyncio.create_task(stage.slots.wait_settled())
        await stage.settle()
        assert not waiting.done()
        assert stage.serving() == ("v1", None, 1)
        stage.loader.held_back["v2"].set()
        await waiting
        assert stage.serving() == ("v2", None, 3)

    async def test_nobody_waits_for_what_cannot_be_loaded_or_may_not_answer(self, stage: Stage) -> None:
        stage.loader.broken.add("v2")
        await stage.append(*TWO_VERSIONS[:2])
        await stage.append(*TWO_VERSIONS[2:])
        await asyncio.wait_for(stage.slots.wait_settled(), 60)
        assert stage.serving() == ("v1", None, 1)
        await stage.append(ModelDisabled())
        await asyncio.wait_for(stage.slots.wait_settled(), 60)
        assert stage.serving() is None
