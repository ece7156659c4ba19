"""Environments that share a store: who needs an artifact keeps it there, whatever the others do at the same time."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import obstore
import obstore.store
import pytest

from hotswap_stream.adapters.artifacts.backend import Backend
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store, shared_artifact_store
from hotswap_stream.adapters.artifacts.marks import mark_path
from hotswap_stream.adapters.artifacts.store import ObstoreArtifactStore
from hotswap_stream.application.artifacts import references as artifact_references
from hotswap_stream.application.artifacts.file import InvalidDigestError
from hotswap_stream.application.artifacts.references import (
    ArtifactBeingDeletedError,
    ArtifactReferences,
    Mark,
    environment_name,
)
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.errors import ConfigurationError
from tests.support.s3_server import place_of_its_own
from tests.support.samples.artifacts import linear_artifact

STAGING, PRODUCTION = "staging.a1", "production.b2"
DIGEST = f"sha256:{'1' * 64}"
BYTES_MAX = 64 * 1024**2


class SharedPlace:
    """One place, as each environment opens it, and seen past all of them."""

    def __init__(self, opened: Callable[[str, float], ArtifactStore], raw: Backend) -> None:
        self.opened = opened
        self.raw = raw


def named(name: str) -> Callable[[], Awaitable[str]]:
    async def environment() -> str:
        return name

    return environment


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> SharedPlace:
    if request.param == "memory":
        memory = obstore.store.MemoryStore()
        contents = ObstoreArtifactStore(memory, "memory", BYTES_MAX)
        return SharedPlace(
            lambda name, grace: shared_artifact_store(contents, named(name), grace_seconds=grace), memory
        )
    if request.param == "folder":
        config = ArtifactStoreConfig(url=str(tmp_path / "artifacts"))
        raw: Backend = obstore.store.LocalStore(tmp_path / "artifacts", mkdir=True)
    else:
        config, raw = place_of_its_own(request.getfixturevalue("s3"))
    return SharedPlace(
        lambda name, grace: open_artifact_store(msgspec.structs.replace(config, grace_seconds=grace), named(name)), raw
    )


async def test_what_another_environment_needs_is_not_deleted(place: SharedPlace) -> None:
    """A clean-up in one environment deleted what was active in the other."""
    staging, production = place.opened(STAGING, 0.0), place.opened(PRODUCTION, 0.0)
    facts = await staging.put_artifact(linear_artifact())
    assert await production.references.refer(facts.digest)
    released = await staging.references.release(facts.digest)
    assert released.outcome == "needed elsewhere"
    assert PRODUCTION in (released.held_because or "")
    assert await production.exists(facts.digest)
    assert await staging.references.marked() == frozenset()
    assert (await production.references.release(facts.digest)).outcome == "deleted"
    assert not await production.exists(facts.digest)
    assert await production.references.environments() == {}


async def test_what_was_put_lately_stays_for_the_grace_period(place: SharedPlace) -> None:
    store = place.opened(STAGING, 3_600.0)
    facts = await store.put_artifact(linear_artifact())
    released = await store.references.release(facts.digest)
    assert released.outcome == "too young"
    assert "3600 s" in (released.held_because or "")
    assert await store.exists(facts.digest)
    assert await store.references.marked() == {facts.digest}
    assert (await store.references.release(facts.digest, grace_seconds=0.0)).outcome == "deleted"


async def test_an_artifact_from_before_there_were_marks_is_adopted_first(place: SharedPlace) -> None:
    content = linear_artifact()
    store = place.opened(STAGING, 3_600.0)
    facts = await place.opened(PRODUCTION, 0.0).put_artifact(content)
    await place.opened(PRODUCTION, 0.0).references.forget(PRODUCTION)
    assert (await store.references.release(facts.digest, adopt=False)).outcome == "not ours"
    assert (await store.references.release(facts.digest)).outcome == "too young"
    assert await store.references.marked() == {facts.digest}
    assert await store.exists(facts.digest)


async def test_a_version_registered_while_the_registry_was_read_keeps_its_artifact(place: SharedPlace) -> None:
    store = place.opened(STAGING, 0.0)
    facts = await store.put_artifact(linear_artifact())

    async def needed_again() -> bool:
        return True

    assert (await store.references.release(facts.digest, still_needed=needed_again)).outcome == "needed"
    assert await store.exists(facts.digest)


async def test_whoever_needs_it_waits_for_a_deletion_that_was_announced(
    place: SharedPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging, production = place.opened(STAGING, 0.0), place.opened(PRODUCTION, 0.0)
    facts = await staging.put_artifact(linear_artifact())
    announced, going_on = asyncio.Event(), asyncio.Event()

    async def slow() -> bool:
        announced.set()
        await going_on.wait()
        return False

    releasing = asyncio.create_task(staging.references.release(facts.digest, still_needed=slow))
    await announced.wait()
    putting = asyncio.create_task(production.put_artifact(linear_artifact()))
    await asyncio.sleep(0.3)
    assert not putting.done()
    going_on.set()
    await asyncio.gather(releasing, putting)
    assert await production.exists(facts.digest)
    monkeypatch.setattr(artifact_references, "WAIT_SECONDS_MAX", 0.2)
    obstore.put(place.raw, mark_path(facts.digest, f"_deleting.{STAGING}"), b"")
    with pytest.raises(ArtifactBeingDeletedError, match=STAGING):
        await production.references.refer(facts.digest)
    assert await production.references.forget(STAGING) == 1
    assert await production.references.refer(facts.digest)


async def test_nobody_loses_what_it_was_told_is_there(place: SharedPlace) -> None:
    """Seeded: environments that register and give up the same few artifacts at once, each by several processes."""
    contents = [linear_artifact(seed=seed) for seed in range(2)]
    environments = [STAGING, PRODUCTION, "trial.c3"]
    lives = 6

    async def live(environment: str, number: int) -> None:
        dice = random.Random(f"{environment}{number}")
        store = place.opened(environment, 0.0)
        for _ in range(lives):
            content = dice.choice(contents)
            facts = await store.put_artifact(content)
            await asyncio.sleep(dice.random() * 0.01)
            assert await store.references.refer(facts.digest)
            await asyncio.sleep(dice.random() * 0.01)
            # Marked by this environment, and not given up by it: whatever others do, it is there.
            assert await store.exists(facts.digest), f"{environment} lost {facts.digest}"
            await store.references.release(facts.digest)

    await asyncio.gather(*(live(environment, 0) for environment in environments))
    assert (await place.opened(STAGING, 0.0).references.environments()).keys() <= set(environments)


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "staging",
        "../../etc.a",
        "staging/x.a",
        "staging.a/b",
        ".a",
        "staging.",
        "staging.a\n",
        "x" * 64 + ".a",
        "S.a",
    ],
)
async def test_a_wrong_name_never_becomes_a_path(place: SharedPlace, wrong: str) -> None:
    store = place.opened(wrong, 0.0)
    with pytest.raises(ConfigurationError, match="not the name of an environment"):
        await store.put_artifact(linear_artifact())
    with pytest.raises(ConfigurationError):
        await store.references.forget(wrong)
    with pytest.raises(ConfigurationError):
        mark_path(DIGEST, wrong)
    assert await store.list() == ()


def test_a_wrong_digest_never_becomes_a_path_of_a_mark() -> None:
    with pytest.raises(InvalidDigestError):
        mark_path("sha256:../../x", STAGING)


async def test_foreign_files_beside_the_marks_are_nobodys(place: SharedPlace) -> None:
    store = place.opened(STAGING, 0.0)
    facts = await store.put_artifact(linear_artifact())
    hex_digits = facts.digest.removeprefix("sha256:")
    for path in (f"refs/{hex_digits}/README", f"refs/{hex_digits}/x/staging.a1", "refs/zz/staging.a1"):
        obstore.put(place.raw, path, b"something else")
    assert await store.references.environments() == {STAGING: 1}
    assert (await store.references.release(facts.digest)).outcome == "deleted"


def test_names_are_made_of_prefix_and_id() -> None:
    assert environment_name("staging", "VoH_YVxtSEGjmcrHkR4XEA") == "staging.VoH_YVxtSEGjmcrHkR4XEA"


class MarksThatDied:
    """Marks in memory with an announcement that its owner left behind long ago."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.marks = {(DIGEST, f"_deleting.{PRODUCTION}"): self.now}

    async def write(self, digest: str, name: str) -> None:
        self.marks[digest, name] = self.now + timedelta(seconds=artifact_references.DEAD_SECONDS + 1)

    async def of(self, digest: str) -> tuple[Mark, ...]:
        return tuple(Mark(name, at) for (marked, name), at in self.marks.items() if marked == digest)

    async def remove(self, digest: str, name: str) -> None:
        self.marks.pop((digest, name), None)

    async def all(self) -> dict[str, frozenset[str]]:
        return {digest: frozenset({name}) for digest, name in self.marks}

    async def artifact_written_at(self, digest: str) -> datetime | None:
        return self.now if digest == DIGEST else None

    async def delete_artifact(self, digest: str) -> None:
        raise AssertionError(f"{digest} is not to be deleted")


async def test_a_deletion_that_died_long_ago_holds_up_nobody() -> None:
    marks = MarksThatDied()
    assert await ArtifactReferences(marks, named(STAGING), grace_seconds=0.0).refer(DIGEST)
    assert list(marks.marks) == [(DIGEST, STAGING)]
