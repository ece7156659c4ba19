"""Manifests are read once, and a limited number is kept."""

import asyncio

import obstore.store
import pytest

from hotswap_stream.adapters.artifacts.config import shared_artifact_store
from hotswap_stream.adapters.artifacts.store import ObstoreArtifactStore
from hotswap_stream.application.artifacts.manifests import ActiveManifests
from hotswap_stream.application.artifacts.store import LoadedArtifact
from hotswap_stream.errors import HotswapError
from tests.support.samples.artifacts import linear_artifact, linear_manifest


class CountingStore(ObstoreArtifactStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__(obstore.store.MemoryStore(), "memory", 1_000_000)
        self.fetched: list[str] = []

    async def fetch(self, digest: str) -> LoadedArtifact:
        self.fetched.append(digest)
        return await super().fetch(digest)


async def test_of_those_who_ask_at_once_one_reads() -> None:
    store = CountingStore()
    digest = (await store.put_artifact(linear_artifact(seed=1))).digest
    manifests = ActiveManifests(shared_artifact_store(store))
    assert await asyncio.gather(*(manifests.of(digest) for _number in range(5))) == [linear_manifest()] * 5
    assert store.fetched == [digest]


async def test_the_oldest_makes_room() -> None:
    store = CountingStore()
    first, second, third = [(await store.put_artifact(linear_artifact(seed=seed))).digest for seed in (1, 2, 3)]
    manifests = ActiveManifests(shared_artifact_store(store), kept_max=2)
    for digest in (first, second, third, second, first):
        await manifests.of(digest)
    assert store.fetched == [first, second, third, first]


async def test_what_is_not_there_is_asked_for_again() -> None:
    store = CountingStore()
    manifests = ActiveManifests(shared_artifact_store(store))
    for _time in range(2):
        with pytest.raises(HotswapError):
            await manifests.of(f"sha256:{'0' * 64}")
    assert len(store.fetched) == 2
