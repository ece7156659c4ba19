"""Artifacts that somebody put into the store are tried once on a machine, and what that measured is kept."""

import asyncio
from pathlib import Path

import pytest

from hotswap_events.registry.events import ArtifactTrial
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.onnx import stored_trials
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.adapters.onnx.stored_trials import StoredTrials, TrialMemory
from hotswap_stream.application.artifacts.bundle import pack_files
from hotswap_stream.application.artifacts.file import digest_of_artifact
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.trial import TrialFailedError
from hotswap_stream.bootstrap.trials import artifact_tried_aside
from hotswap_stream.settings import Settings
from tests.support.samples import graphs
from tests.support.samples.artifacts import linear_artifact

MANIFEST = ArtifactManifest(
    kind="onnx",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
    warm_up={"x": (1, 4)},
)
DIGEST = f"sha256:{'a' * 64}"
OPENVINO = VersionOptions(executor="openvino")
TRIAL = ArtifactTrial(executor="onnx", load_ms=1.5, resident_bytes=10, first_ms=2.0, warm_ms=0.5)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url=str(tmp_path / "artifacts")))


def trials_in(store: ArtifactStore, folder: Path) -> StoredTrials:
    return StoredTrials(store, TrialMemory(folder), threads=1)


async def tried(store: ArtifactStore, folder: Path, content: bytes) -> ArtifactTrial | None:
    digest = (await store.put_artifact(content)).digest
    return await trials_in(store, folder)(digest, (await store.fetch(digest)).manifest)


async def test_a_graph_is_tried_once(store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = pack_files(MANIFEST, {GRAPH_FILE: graphs.linear()})
    measured = await tried(store, tmp_path, content)
    assert measured is not None
    assert measured.executor.startswith("onnx")
    assert measured.resident_bytes >= 0
    assert measured.warm_ms > 0
    monkeypatch.setattr(stored_trials, "try_model", None)  # another trial would fail
    assert await tried(store, tmp_path, content) == measured


async def test_an_architecture_needs_none(store: ArtifactStore, tmp_path: Path) -> None:
    assert await tried(store, tmp_path / "trials", linear_artifact()) is None
    assert not (tmp_path / "trials").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({GRAPH_FILE: graphs.vast()}, ""),
        ({GRAPH_FILE: graphs.linear()[:50]}, ""),
        ({GRAPH_FILE: graphs.centered()}, "row"),
        ({"other": b"graph"}, ""),
        ({GRAPH_FILE: graphs.with_weights_beside("../weights"), "weights": b"\0" * 32}, "weights"),
    ],
    ids=["vast", "cut", "not its manifest", "no graph", "climbs"],
)
async def test_what_cannot_be_served_is_refused(
    store: ArtifactStore, tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    content = pack_files(MANIFEST, files)
    with pytest.raises(TrialFailedError) as raised:
        await tried(store, tmp_path, content)
    assert words in str(raised.value)
    assert TrialMemory(tmp_path).trial_of(digest_of_artifact(content)) is None


async def test_without_a_runtime_workers_try_it(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_trials, "can_try", lambda: False)
    assert await tried(store, tmp_path / "trials", pack_files(MANIFEST, {GRAPH_FILE: graphs.linear()})) is None


def test_what_is_remembered_is_bounded_and_whatever_lies_there_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = TrialMemory(tmp_path)
    assert memory.trial_of(DIGEST) is None
    memory.add(DIGEST, TRIAL)
    assert memory.trial_of(DIGEST) == TRIAL
    (record,) = tmp_path.iterdir()
    for content in (b"", b"{}", b"\xff" * 10_000, b'{"executor": 1}'):
        record.write_bytes(content)
        assert memory.trial_of(DIGEST) is None
    record.unlink()
    record.mkdir()
    assert memory.trial_of(DIGEST) is None
    memory.add(DIGEST, TRIAL)  # fails, and is said
    record.rmdir()

    monkeypatch.setattr(stored_trials, "REMEMBERED_MAX", 3)
    for number in range(6):
        memory.add(f"sha256:{number:064x}", TRIAL)
    assert len(list(tmp_path.glob("*.trial"))) == 3
    assert memory.trial_of(f"sha256:{5:064x}") == TRIAL


async def test_another_executor_is_tried_aside_and_that_is_kept_apart(store: ArtifactStore, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, cache=tmp_path / "cache", kafka_bootstrap_servers="127.0.0.1:1")
    content = pack_files(MANIFEST, {GRAPH_FILE: graphs.linear()})
    digest = (await store.put_artifact(content)).digest
    found = await asyncio.to_thread(artifact_tried_aside, settings, OPENVINO, digest)
    assert bytes(found) == content
    memory = TrialMemory(tmp_path / "cache" / "trials")
    trial = memory.trial_of(digest, OPENVINO)
    assert trial is not None
    assert trial.executor == "openvino"
    assert memory.trial_of(digest) is None

    trees = pack_files(MANIFEST, {GRAPH_FILE: graphs.with_operator("Scaler", "ai.onnx.ml")})
    digest = (await store.put_artifact(trees)).digest
    with pytest.raises(TrialFailedError, match="openvino knows no trees"):
        await asyncio.to_thread(artifact_tried_aside, settings, OPENVINO, digest)
