"""Which versions one worker holds in memory: what may serve next, and what is asked for by name if there is room."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import pytest_asyncio

from hotswap_events.registry.events import ModelTrained, RegistryEvent
from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_events.serving.control import (
    CircuitClosed,
    ServingPolicy,
    ServingPolicySet,
)
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.application.swap import residency
from hotswap_stream.application.swap.lease import Lease
from hotswap_stream.application.swap.plan import HoldLimits, versions_to_hold
from tests.support.samples.registry import LogBuilder, archived, artifact_of, promoted, staged, trained
from tests.support.stages.version_slots import OPENED, SIZE, TWO_VERSIONS, Stage


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.slots.stop()
    assert stage.loader.in_memory == set()


class TestByName:
    async def test_a_version_that_is_held_answers_at_the_last_offset_read(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS, staged("v1"))
        lease = stage.slots.lease_version("v1")
        assert lease is not None
        assert (lease.model_version, lease.registry_offset) == ("v1", 4)
        stage.slots.release(lease)

    async def test_one_that_is_not_loaded_is_none_until_asked_for(self, stage: Stage) -> None:
        await stage.append(*(trained(f"v{number}") for number in (3, 4, 5)), *TWO_VERSIONS, staged("v4"), staged("v5"))
        assert stage.slots.lease_version("v3") is None
        assert (await stage.slots.request_version("v3")).outcome == "loaded"
        lease = stage.slots.lease_version("v3")
        assert lease is not None
        stage.slots.release(lease)

    async def test_wrong_names(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS, archived("v1"))
        assert stage.slots.lease_version("v9") is None
        assert stage.slots.lease_version("v1") is None
        assert (await stage.slots.request_version("v9")).outcome == "unknown"
        request = await stage.slots.request_version("v1")
        assert (request.outcome, request.reason) == ("archived", "version 'v1' is archived")

    async def test_one_that_does_not_load_is_not_tried_for_each_request(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stage.loader.broken.add("v3")
        await stage.append(trained("v3"), *TWO_VERSIONS)
        for _request in range(3):
            request = await stage.slots.request_version("v3")
            assert request.outcome == "failed"
            assert request.reason is not None
            assert "v3 is broken" in request.reason
        assert stage.loader.loaded.count("v3") == 1
        monkeypatch.setattr(residency, "REQUEST_RETRY_SECONDS", 0.0)
        stage.loader.broken.clear()
        assert (await stage.slots.request_version("v3")).outcome == "loaded"

    async def test_no_room(self) -> None:
        stage = Stage(memory_bytes_max=SIZE)
        await stage.append(trained("v3"), *TWO_VERSIONS)
        request = await stage.slots.request_version("v3")
        assert request.outcome == "no-room"
        assert request.reason is not None
        assert f"{SIZE:,} bytes" in request.reason
        await stage.slots.stop()

    async def test_the_longest_unused_makes_room(self) -> None:
        stage = Stage(memory_bytes_max=3 * SIZE, versions_max=2, requested_versions_max=2)
        names = ("v3", "v4", "v5")
        await stage.append(*TWO_VERSIONS, *map(trained, names))
        for name in ("v3", "v4"):
            assert (await stage.slots.request_version(name)).outcome == "loaded"
        used = stage.slots.lease_version("v3")
        assert used is not None
        stage.slots.release(used)
        assert (await stage.slots.request_version("v5")).outcome == "loaded"
        assert stage.slots.lease_version("v4") is None
        assert stage.loader.in_memory == {"v1", "v2", "v3", "v5"}
        await stage.slots.stop()

    async def test_those_who_wait_for_one_that_must_make_room_are_told(self) -> None:
        stage = Stage(memory_bytes_max=3 * SIZE, versions_max=2, requested_versions_max=1)
        await stage.append(trained("v3"), *TWO_VERSIONS, trained("v4"))
        stage.loader.held_back["v3"] = asyncio.Event()
        waiting = asyncio.create_task(stage.slots.request_version("v3"))
        await stage.settle()
        other = asyncio.create_task(stage.slots.request_version("v4"))
        assert (await waiting).outcome == "no-room"
        stage.loader.held_back["v3"].set()
        assert (await other).outcome == "loaded"
        await stage.slots.stop()
        assert stage.loader.in_memory == set()


class TestUse:
    async def test_what_answers_stays_in_memory_until_its_successor_is_loaded(self) -> None:
        stage = Stage(memory_bytes_max=0)
        stage.loader.held_back["v2"] = asyncio.Event()
        await stage.append(*TWO_VERSIONS[:2])
        await stage.append(*TWO_VERSIONS[2:])  # now v1 is not active, and there is no room for it
        assert stage.serving() == ("v1", None, 1)
        assert stage.loader.in_memory == {"v1"}
        assert stage.slots.lease_version("v1") is None
        lease = stage.slots.lease()
        assert lease is not None
        stage.loader.held_back["v2"].set()
        await stage.settle()
        assert stage.serving() == ("v2", None, 3)
        assert stage.loader.in_memory == {"v1", "v2"}
        stage.slots.release(lease)
        await stage.settle()
        assert stage.loader.in_memory == {"v2"}
        await stage.slots.stop()
        assert stage.loader.in_memory == set()

    async def test_a_version_in_use_is_kept_until_its_last_inference_ends(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS)
        first, second = stage.slots.lease_version("v1"), stage.slots.lease_version("v1")
        assert first is not None
        assert second is not None
        await stage.append(archived("v1"))
        assert "v1" in stage.loader.in_memory
        stage.slots.release(first)
        await stage.settle()
        assert "v1" in stage.loader.in_memory
        stage.slots.release(second)
        await stage.settle()
        assert "v1" not in stage.loader.in_memory

    async def test_other_threads_may_begin_and_end_while_versions_come_and_go(self, stage: Stage) -> None:
        await stage.append(*TWO_VERSIONS)
        going = True
        answered: list[str] = []

        def infer() -> None:
            while going:
                lease: Lease | None = stage.slots.lease()
                if lease is not None:
                    assert lease.model_version in stage.loader.in_memory
                    answered.append(lease.model_version)
                    stage.slots.release(lease)

        with ThreadPoolExecutor(4) as threads:
            inferences = [threads.submit(infer) for _ in range(4)]
            for _round in range(30):
                await stage.append(OPENED)
                await stage.append(CircuitClosed(model_version="v2", cause="operator"))
            going = False
            for inference in inferences:
                await asyncio.wrap_future(inference)
        assert set(answered) <= {"v1", "v2"}
        assert answered
        # Of what answers one lease is left: the one that keeps it in memory.
        assert {slot.model_version: slot.users for slot in stage.slots._residency.slots} == {"v1": 0, "v2": 1}


def plan(*events: RegistryEvent, requested: tuple[str, ...] = (), **limits: int) -> list[str]:
    log, fold = LogBuilder().append(*events), RegistryFold()
    for record in log.records:
        fold.apply(record)
    held = versions_to_hold(fold.state("digits"), requested, HoldLimits(**{"memory_bytes_max": 100 * SIZE, **limits}))
    return [version.model_version for version in held]


class TestPlan:
    def test_the_most_needed_come_first(self) -> None:
        policy = ServingPolicySet(policy=ServingPolicy(fallback="version", fallback_version="v3"))
        events = (trained("v3"), trained("v4"), *TWO_VERSIONS, policy, trained("v5"), staged("v4"))
        assert plan(*events, versions_max=9) == ["v2", "v3", "v1", "v4", "v5"]
        assert plan(*events, requested=("v5",), versions_max=4) == ["v2", "v3", "v1", "v4", "v5"]
        assert plan(*events, versions_max=2) == ["v2", "v3"]

    def test_what_answers_is_held_whatever_it_weighs(self) -> None:
        assert plan(*TWO_VERSIONS, OPENED, memory_bytes_max=0) == ["v2", "v1"]
        assert plan(*TWO_VERSIONS, memory_bytes_max=0) == ["v2"]

    def test_a_big_one_is_passed_over_for_a_smaller_one(self) -> None:
        big = ModelTrained(
            model_version="v4",
            artifact=type(artifact_of("v4"))(digest=artifact_of("v4").digest, size_bytes=10 * SIZE),
            provenance=trained("v4").provenance,
        )
        assert plan(*TWO_VERSIONS, trained("v3"), big, memory_bytes_max=2 * SIZE) == ["v2", "v1", "v3"]

    def test_requested_ones_are_bounded_and_never_archived_or_unknown(self) -> None:
        events = (*TWO_VERSIONS, trained("v3"), trained("v4"), trained("v5"), archived("v5"))
        requested = ("v9", "v5", "v4", "v3")
        assert plan(*events, requested=requested, versions_max=2, requested_versions_max=1) == ["v2", "v1", "v4"]


async def test_two_versions_of_one_artifact_that_are_computed_differently_are_two_loaded_models() -> None:
    stage = Stage()
    bf16 = VersionOptions(precision="bf16")
    try:
        await stage.append(
            trained("v1"),
            promoted("v1", forced=True),
            msgspec.structs.replace(trained("v2"), artifact=artifact_of("v1"), options=bf16),
            staged("v2"),
        )
        assert stage.loader.options == [PLAIN, bf16]
        first, second = stage.slots.lease_version("v1"), stage.slots.lease_version("v2")
        assert first is not None
        assert second is not None
        assert first.artifact_digest == second.artifact_digest
        assert first.model is not second.model
        assert (first.precision, second.precision) == (None, "bf16")
        promotion = promoted("v2", "v1", forced=True)
        await stage.append(msgspec.structs.replace(promotion, artifact_digest=artifact_of("v1").digest))
        current = stage.slots.lease()
        assert current is not None
        assert (current.model, current.precision) == (second.model, "bf16")
        for lease in (first, second, current):
            stage.slots.release(lease)
    finally:
        await stage.slots.stop()
