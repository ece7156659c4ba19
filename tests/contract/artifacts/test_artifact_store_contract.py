"""What every artifact store must do, run against a folder, memory, and a real S3 server."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import obstore
import obstore.store
import pytest
from msgspec.structs import replace

from hotswap_stream.adapters.artifacts.backend import Backend
from hotswap_stream.adapters.artifacts.config import (
    ArtifactStoreConfig,
    S3Credentials,
    open_artifact_store,
    shared_artifact_store,
)
from hotswap_stream.adapters.artifacts.store import ObstoreArtifactStore, path_of
from hotswap_stream.application.artifacts.file import ArtifactFormatError, InvalidDigestError, digest_of_artifact
from hotswap_stream.application.artifacts.store import (
    ArtifactNotFoundError,
    ArtifactStore,
    ArtifactStoreRefusedError,
    ArtifactStoreUnavailableError,
    ArtifactTooLargeError,
    DigestMismatchError,
)
from hotswap_stream.errors import ConfigurationError
from tests.support.s3_server import CREDENTIALS, place_of_its_own
from tests.support.samples.artifacts import flip_bit, linear_artifact, linear_manifest, linear_weights

UNKNOWN = f"sha256:{'0' * 64}"
NOT_DIGESTS = [
    "",
    "0" * 64,
    f"sha256:{'0' * 63}",
    f"sha256:{'A' * 64}",
    f"SHA256:{'0' * 64}",
    f"sha256:{'0' * 64}\n",
    "sha256:../../../../../../etc/passwd",
    f"sha256:{'../' * 21}0",
]


class StoreUnderTest:
    """A store, and the same place seen past it."""

    def __init__(self, kind: str, opened: Callable[[int], ArtifactStore], raw: Backend) -> None:
        self.kind = kind
        self.opened = opened
        self.raw = raw

    def overwrite(self, digest: str, content: bytes) -> None:
        """Put other bytes where the artifact lies."""
        obstore.put(self.raw, path_of(digest), content)


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StoreUnderTest:
    if request.param == "memory":
        memory = obstore.store.MemoryStore()
        return StoreUnderTest(
            "memory", lambda limit: shared_artifact_store(ObstoreArtifactStore(memory, "memory", limit)), memory
        )
    if request.param == "folder":
        folder = ArtifactStoreConfig(url=str(tmp_path / "artifacts"))
        return StoreUnderTest("folder", _opener(folder), obstore.store.LocalStore(tmp_path / "artifacts", mkdir=True))
    config, raw = place_of_its_own(request.getfixturevalue("s3"))
    return StoreUnderTest("s3", _opener(config), raw)


def _opener(config: ArtifactStoreConfig) -> Callable[[int], ArtifactStore]:
    return lambda limit: open_artifact_store(msgspec.structs.replace(config, artifact_bytes_max=limit))


@pytest.fixture
def store(place: StoreUnderTest) -> ArtifactStore:
    return place.opened(64 * 1024**2)


async def test_what_is_put_is_fetched(store: ArtifactStore) -> None:
    facts = await store.put(linear_manifest(), linear_weights())
    found = await store.fetch(facts.digest)
    assert found.manifest == linear_manifest()
    assert found.content == linear_artifact()
    assert (found.digest, found.size_bytes) == (facts.digest, facts.size_bytes)
    assert facts.digest == digest_of_artifact(found.content)
    assert await store.exists(facts.digest)


async def test_the_same_content_twice_is_one_artifact(store: ArtifactStore) -> None:
    first = await store.put(linear_manifest(), linear_weights())
    second = await store.put_artifact(linear_artifact())
    assert first == second
    assert first.signature == linear_manifest().signature
    assert await store.list() == (replace(first, signature=None),)


async def test_writers_of_the_same_content_do_not_disturb_each_other(store: ArtifactStore) -> None:
    puts = await asyncio.gather(*(store.put_artifact(linear_artifact()) for _ in range(4)))
    assert len(set(puts)) == 1
    assert (await store.fetch(puts[0].digest)).content == linear_artifact()


async def test_an_artifact_larger_than_one_part_comes_back_whole(store: ArtifactStore) -> None:
    content = linear_artifact(features=1_300_000)
    facts = await store.put_artifact(content)
    assert facts.size_bytes > 10_000_000
    assert (await store.fetch(facts.digest)).content == content


async def test_an_unknown_digest_is_named(store: ArtifactStore) -> None:
    assert not await store.exists(UNKNOWN)
    with pytest.raises(ArtifactNotFoundError, match=UNKNOWN):
        await store.fetch(UNKNOWN)


@pytest.mark.parametrize("where", ["first byte", "header", "last byte", "cut", "empty"])
async def test_damage_is_found_and_a_put_repairs_it(place: StoreUnderTest, store: ArtifactStore, where: str) -> None:
    content = linear_artifact()
    facts = await store.put_artifact(content)
    damaged = {
        "first byte": flip_bit(content, 0),
        "header": flip_bit(content, 30),
        "last byte": flip_bit(content, len(content) - 1),
        "cut": content[:-1],
        "empty": b"",
    }[where]
    place.overwrite(facts.digest, damaged)
    with pytest.raises(DigestMismatchError) as raised:
        await store.fetch(facts.digest)
    assert (raised.value.expected, raised.value.found) == (facts.digest, digest_of_artifact(damaged))
    assert facts.digest in str(raised.value)
    assert digest_of_artifact(damaged) in str(raised.value)
    assert await store.put_artifact(content) == facts
    assert (await store.fetch(facts.digest)).content == content


async def test_a_foreign_file_under_a_digest_is_not_taken_for_an_artifact(
    place: StoreUnderTest, store: ArtifactStore
) -> None:
    digest = digest_of_artifact(b"something else")
    place.overwrite(digest, b"something else")
    with pytest.raises(ArtifactFormatError, match="not a safetensors file"):
        await store.fetch(digest)


async def test_what_is_no_artifact_is_not_kept(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactFormatError, match="not a safetensors file"):
        await store.put_artifact(b"weights, honestly")
    with pytest.raises(ArtifactFormatError, match=r"hotswap\.manifest"):
        await store.put_artifact(linear_weights())
    assert await store.list() == ()


async def test_the_size_limit_holds_for_put_and_fetch(place: StoreUnderTest, store: ArtifactStore) -> None:
    facts = await store.put_artifact(linear_artifact())
    exactly, below = place.opened(facts.size_bytes), place.opened(facts.size_bytes - 1)
    assert (await exactly.fetch(facts.digest)).size_bytes == facts.size_bytes
    with pytest.raises(ArtifactTooLargeError, match=f"{facts.size_bytes} bytes; artifact_bytes_max allows"):
        await below.fetch(facts.digest)
    with pytest.raises(ArtifactTooLargeError):
        await below.put_artifact(linear_artifact())


async def test_delete(store: ArtifactStore) -> None:
    facts = await store.put_artifact(linear_artifact())
    assert (await store.references.release(facts.digest)).outcome == "deleted"
    assert (await store.references.release(facts.digest)).outcome == "not there"
    assert not await store.exists(facts.digest)
    assert await store.list() == ()


async def test_list_is_ordered_and_passes_over_other_files(
    place: StoreUnderTest, store: ArtifactStore, tmp_path: Path
) -> None:
    kept = [await store.put_artifact(linear_artifact(seed=seed)) for seed in range(5)]
    for path in ("readme.txt", "sha256/zz/what.safetensors", f"sha256/ff/{'0' * 64}.safetensors"):
        obstore.put(place.raw, path, b"something else")
    if place.kind == "folder":
        hex_digits = kept[0].digest.removeprefix("sha256:")
        cut_off_write = tmp_path / "artifacts" / "sha256" / hex_digits[:2] / f"{hex_digits}.safetensors#1"
        cut_off_write.write_bytes(b"half of it")
    listed = [replace(facts, signature=None) for facts in sorted(kept, key=lambda facts: facts.digest)]
    assert await store.list() == tuple(listed)


@pytest.mark.parametrize("wrong", NOT_DIGESTS)
async def test_a_wrong_digest_never_becomes_a_path(store: ArtifactStore, wrong: str) -> None:
    for call in (store.fetch, store.exists, store.references.refer, store.references.release):
        with pytest.raises(InvalidDigestError, match="64 lower-case hex digits"):
            await call(wrong)


async def test_a_folder_answers_a_checked_path_and_other_stores_none(
    place: StoreUnderTest, store: ArtifactStore
) -> None:
    facts = await store.put_artifact(linear_artifact())
    path = await store.local_path(facts.digest)
    assert await store.unchecked_path(facts.digest) == path
    if place.kind != "folder":
        assert path is None
        return
    assert path is not None
    assert path.read_bytes() == linear_artifact()
    place.overwrite(facts.digest, flip_bit(linear_artifact(), 100))
    with pytest.raises(DigestMismatchError):
        await store.local_path(facts.digest)
    assert await store.unchecked_path(facts.digest) == path
    for call in (store.local_path, store.unchecked_path):
        with pytest.raises(ArtifactNotFoundError):
            await call(UNKNOWN)
        with pytest.raises(InvalidDigestError):
            await call("sha256:../../x")


@pytest.mark.slow
async def test_wrong_s3_keys_are_refused_without_being_told(s3: ArtifactStoreConfig) -> None:
    wrong = S3Credentials(access_key_id=CREDENTIALS.access_key_id, secret_access_key="wrong-secret")  # noqa: S106
    store = open_artifact_store(msgspec.structs.replace(s3, s3_credentials=wrong))
    for call in (store.fetch(UNKNOWN), store.put_artifact(linear_artifact()), store.list()):
        with pytest.raises(ArtifactStoreRefusedError) as raised:
            await call
        assert CREDENTIALS.access_key_id not in str(raised.value)
        assert "wrong-secret" not in str(raised.value)


@pytest.mark.slow
async def test_a_missing_bucket_is_said_to_be_missing(s3: ArtifactStoreConfig) -> None:
    store = open_artifact_store(msgspec.structs.replace(s3, url="s3://no-such-bucket"))
    with pytest.raises(ArtifactStoreRefusedError, match="bucket or folder is missing"):
        await store.put_artifact(linear_artifact())


@pytest.mark.slow
async def test_a_store_that_does_not_answer_may_be_tried_again(s3: ArtifactStoreConfig, unused_tcp_port: int) -> None:
    gone = msgspec.structs.replace(s3, s3_endpoint=f"http://127.0.0.1:{unused_tcp_port}", s3_retries_max=0)
    with pytest.raises(ArtifactStoreUnavailableError) as raised:
        await open_artifact_store(gone).exists(UNKNOWN)
    assert raised.value.retriable


async def test_a_folder_given_as_url_or_relative_path_is_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    facts = await open_artifact_store(ArtifactStoreConfig(url="my%20models")).put_artifact(linear_artifact())
    by_url = open_artifact_store(ArtifactStoreConfig(url=f"file://{tmp_path}/my%2520models"))
    assert await by_url.exists(facts.digest)


@pytest.mark.parametrize("url", ["", "s3://", "ftp://host/folder", "file://host/folder", "gs://bucket"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="artifact store URL"):
        open_artifact_store(ArtifactStoreConfig(url=url))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be created"):
        open_artifact_store(ArtifactStoreConfig(url=str(tmp_path / "file" / "folder")))


def test_keys_are_not_shown() -> None:
    config = ArtifactStoreConfig(url="s3://bucket", s3_credentials=CREDENTIALS)
    assert CREDENTIALS.secret_access_key not in repr(config)
    assert CREDENTIALS.access_key_id not in repr(config)
