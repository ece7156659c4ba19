"""What a clean-up keeps, across models too, and what it does when the registry moves under it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hotswap_events.commands import AnyCommand, CommandResult, Refusal
from hotswap_events.registry.events import ArtifactFacts
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.artifacts.cleanup import CleanUpPlan, CleanUpReport, clean_up, plan_clean_up
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.registry.registry import Registry
from tests.support.samples.artifacts import linear_artifact
from tests.support.samples.registry import (
    IMPORTED,
    CountingIds,
    SteppingClock,
    archive,
    promote,
    register,
    stage,
    validate,
)


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    registry = Registry(
        MemoryRegistryLog(MemoryRegistry(SteppingClock())), clock=SteppingClock(), ids=CountingIds(), source="/test"
    )
    await registry.start()
    yield registry
    await registry.stop()


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url=str(tmp_path / "artifacts")))


async def registered(registry: Registry, artifact: ArtifactFacts, **attributes: Any) -> str:
    """The name of one more version with this artifact."""
    result = await registry.handle(register(None, artifact=artifact, provenance=IMPORTED, **attributes))
    assert result.model_version is not None
    return result.model_version


def planned(registry: Registry, model_name: str = "digits", *, keep: int = 0) -> CleanUpPlan:
    plan = plan_clean_up(registry.fold.streams, model_name, keep=keep)
    assert isinstance(plan, CleanUpPlan)
    return plan


async def cleaned(registry: Registry, artifacts: ArtifactStore, command_id: str = "janitor") -> CleanUpReport:
    report = await clean_up(registry, artifacts, "digits", keep=0, apply=True, actor="janitor", command_id=command_id)
    assert isinstance(report, CleanUpReport)
    return report


async def test_an_artifact_of_another_model_stays(registry: Registry, artifacts: ArtifactStore) -> None:
    shared = await artifacts.put_artifact(linear_artifact(seed=1))
    own = await artifacts.put_artifact(linear_artifact(seed=2))
    await registered(registry, shared)
    await registered(registry, own)
    await registered(registry, shared, model_name="faces")
    assert {entry.model_version: entry.kept_because for entry in planned(registry).entries} == {
        "v1": "shares its artifact with v1 of faces",
        "v2": None,
    }
    report = await cleaned(registry, artifacts)
    assert [entry.model_version for entry in report.deleted] == ["v2"]
    assert await artifacts.exists(shared.digest)
    assert not await artifacts.exists(own.digest)


async def test_two_old_versions_with_one_artifact_go_together(registry: Registry, artifacts: ArtifactStore) -> None:
    shared = await artifacts.put_artifact(linear_artifact(seed=1))
    await registered(registry, shared)
    await registered(registry, shared)
    report = await cleaned(registry, artifacts, command_id="x" * 128)
    assert [entry.model_version for entry in report.deleted] == ["v1", "v2"]
    assert all(version.artifact_deleted for version in registry.state("digits").versions.values())
    assert report.freed_bytes == shared.size_bytes
    assert not await artifacts.exists(shared.digest)


async def test_a_graph_goes_with_the_last_version_of_its_architecture(
    registry: Registry, artifacts: ArtifactStore
) -> None:
    one, other, graph = [await artifacts.put_artifact(linear_artifact(seed=seed)) for seed in (1, 2, 3)]
    await registered(registry, one, graph=graph)
    await registry.handle(stage(await registered(registry, other, graph=graph)))
    assert [entry.model_version for entry in (await cleaned(registry, artifacts)).deleted] == ["v1"]
    assert [await artifacts.exists(each.digest) for each in (one, other, graph)] == [False, True, True]
    await registry.handle(archive("v2"))
    assert [entry.model_version for entry in (await cleaned(registry, artifacts, "second")).deleted] == ["v2"]
    assert [await artifacts.exists(each.digest) for each in (other, graph)] == [False, False]


async def test_an_artifact_that_is_registered_again_is_left_alone(registry: Registry, artifacts: ArtifactStore) -> None:
    content = linear_artifact(seed=1)
    facts = await artifacts.put_artifact(content)
    await registered(registry, facts)
    await cleaned(registry, artifacts)
    await artifacts.put_artifact(content)
    again = await registered(registry, facts)
    await registry.handle(stage(again))
    report = await cleaned(registry, artifacts, "second")
    assert report.deleted == ()
    assert await artifacts.exists(facts.digest)


async def test_a_version_that_got_a_part_meanwhile_is_refused(
    registry: Registry, artifacts: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = [await artifacts.put_artifact(linear_artifact(seed=seed)) for seed in (1, 2)]
    for each in facts:
        await registered(registry, each)

    handle = registry.handle
    seen: list[AnyCommand] = []

    async def racing(command: AnyCommand, *, actor_by: str | None = None) -> CommandResult:
        """Somebody promotes v2 right behind the first deletion."""
        result = await handle(command, actor_by=actor_by)
        if not seen:
            await handle(validate("v2"))
            await handle(promote("v2"))
        seen.append(command)
        return result

    monkeypatch.setattr(registry, "handle", racing)
    report = await cleaned(registry, artifacts)
    assert [entry.model_version for entry in report.deleted] == ["v1"]
    assert len(report.refused) == 1
    assert "in production" in report.refused[0]
    assert await artifacts.exists(facts[1].digest)


async def test_wrong_wishes(registry: Registry) -> None:
    assert isinstance(plan_clean_up(registry.fold.streams, "nobody", keep=1), Refusal)
    await registry.handle(register("v1"))
    refused = plan_clean_up(registry.fold.streams, "digits", keep=-1)
    assert isinstance(refused, Refusal)
    assert "0 or more" in refused.reason
