"""What a registration learns of a file in the store, whatever somebody put there."""

from pathlib import Path

import pytest

from hotswap_events.commands import Refusal
from hotswap_events.registry.events import ArtifactFacts, ArtifactTrial
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.artifacts.store import path_of
from hotswap_stream.application.artifacts.facts import Registrable, registrable_artifact
from hotswap_stream.application.artifacts.file import (
    HEADER_BYTES_MAX,
    ArtifactFormatError,
    digest_of_artifact,
    read_manifest,
)
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore
from tests.support.samples.artifacts import linear_artifact


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url=str(tmp_path)))


async def untried(
    digest: str, manifest: ArtifactManifest, options: VersionOptions | None = None
) -> ArtifactTrial | None:
    """Nothing is tried: this is about what lies in the store."""
    del digest, manifest, options
    return None


def put(tmp_path: Path, content: bytes) -> str:
    """Put anything into the store under its digest, past the store."""
    digest = digest_of_artifact(content)
    path = tmp_path / path_of(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


async def test_an_artifact_has_its_digest_and_size(store: ArtifactStore, tmp_path: Path) -> None:
    content = linear_artifact()
    digest = put(tmp_path, content)
    assert await registrable_artifact(store, untried, digest) == Registrable(
        ArtifactFacts(digest=digest, size_bytes=len(content), signature=read_manifest(content).signature), None
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 100,
        linear_artifact()[:-1],
        linear_artifact() + b"\x00",
        (HEADER_BYTES_MAX + 1).to_bytes(8, "little") + b" " * (HEADER_BYTES_MAX + 10),
        (50).to_bytes(8, "little") + b"[" * 50,
        (2).to_bytes(8, "little") + b"{}",
    ],
    ids=["empty", "short", "ones", "cut", "longer", "vast header", "deep header", "no manifest"],
)
async def test_what_is_no_artifact_is_none(store: ArtifactStore, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArtifactFormatError):
        await registrable_artifact(store, untried, put(tmp_path, content))


async def test_a_file_that_is_deleted_meanwhile_is_not_there(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = put(tmp_path, linear_artifact())

    async def checked_and_deleted(_digest: str) -> Path:
        path = tmp_path / path_of(digest)
        path.unlink()
        return path

    monkeypatch.setattr(store, "local_path", checked_and_deleted)
    found = await registrable_artifact(store, untried, digest)
    assert isinstance(found, Refusal)
    assert "deleted" in found.reason


async def test_options_that_its_kind_cannot_have_are_refused(store: ArtifactStore) -> None:
    digest = (await store.put_artifact(linear_artifact())).digest
    known = await registrable_artifact(store, untried, digest, VersionOptions(precision="bf16"))
    assert not isinstance(known, Refusal)
    refused = await registrable_artifact(
        store, untried, digest, VersionOptions(executor="onnxruntime", precision="bf16")
    )
    assert isinstance(refused, Refusal)
    assert "'onnxruntime' does not compute with bf16" in refused.reason
