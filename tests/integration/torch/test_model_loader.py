"""Loading picks an executor, remembers it, improves what serves already, and falls back to eager torch."""

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.models.openvino import has_bf16
from hotswap_stream.adapters.torch.executors import graph_files
from hotswap_stream.adapters.torch.executors.config import ExecutorConfig
from hotswap_stream.adapters.torch.executors.graph_files import GraphFiles
from hotswap_stream.adapters.torch.executors.loader import TorchModelLoader
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.artifacts.store import ArtifactStore, DigestMismatchError
from hotswap_stream.application.audit.reproduce import reproduce
from hotswap_stream.errors import ConfigurationError
from tests.support.samples import executors as executor_samples
from tests.support.samples.processors import need_bf16

assert executor_samples.__name__
MAKE_MS_MAX = 300_000
pytestmark = pytest.mark.timeout(MAKE_MS_MAX / 1000 + 60)
SLOW = 1e9
"""No limit for the choice, so that a busy machine changes nothing."""


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs are made once for all tests here: each takes seconds."""
    return tmp_path_factory.mktemp("graphs") / "executors"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url=str(tmp_path / "store"), artifact_bytes_max=2**30))


class Loaders:
    """Loaders that are closed at the end of a test."""

    def __init__(self, store: ArtifactStore, graphs: Path) -> None:
        self._store, self._graphs = store, graphs
        self._made: list[TorchModelLoader] = []

    def __call__(self, **config: object) -> TorchModelLoader:
        wanted = {"graph_folder": self._graphs, "graph_ms_max": MAKE_MS_MAX, "choice_ms_max": SLOW} | config
        loader = TorchModelLoader(self._store, config=msgspec.convert(wanted, ExecutorConfig))
        self._made.append(loader)
        return loader

    def close(self) -> None:
        for loader in self._made:
            loader.close()


@pytest.fixture
def loaders(store: ArtifactStore, graphs: Path) -> Iterator[Loaders]:
    made = Loaders(store, graphs)
    yield made
    made.close()


async def _put(store: ArtifactStore, name: str, seed: int = 0) -> tuple[ArtifactManifest, str]:
    torch.manual_seed(seed)
    manifest = manifest_of(name, {})
    return manifest, (await store.put_artifact(save_module(build_module(name, {}), manifest))).digest


IMAGES = np.random.default_rng(0).standard_normal((21, 1, 28, 28), dtype=np.float32)


async def test_onnxruntime_computes_what_eager_does_for_every_version(store: ArtifactStore, loaders: Loaders) -> None:
    """One graph serves versions of different weights."""
    onnx, eager = loaders(executor="onnxruntime"), loaders(executor="eager")
    answers = []
    for seed in (0, 1):
        _, digest = await _put(store, "digits-cnn", seed)
        one, other = await onnx.load(digest), await eager.load(digest)
        assert (one.executor, other.executor) == ("onnxruntime", "eager")
        answers.append(one.infer({"image": IMAGES})["scores"])
        np.testing.assert_allclose(answers[-1], other.infer({"image": IMAGES})["scores"], atol=1e-5)
    assert np.abs(answers[0] - answers[1]).max() > 0.01


async def test_a_version_that_serves_is_improved_when_the_graph_is_made(
    store: ArtifactStore, loaders: Loaders, tmp_path: Path
) -> None:
    """The load does not wait for the export; the next version of the architecture has the executor at once."""
    loader = loaders(graph_folder=tmp_path / "fresh")
    _, digest = await _put(store, "ffnn-784-32-32-32-10")
    first = await loader.load(digest)
    rows = {"image": np.ones((3, 784), np.float32)}
    before = first.infer(rows)["scores"]
    assert first.executor == "eager"
    assert loader.wait_improved(MAKE_MS_MAX / 1000)
    after = first.infer(rows)["scores"]
    np.testing.assert_allclose(before, after, atol=1e-5)
    second = await loader.load((await _put(store, "ffnn-784-32-32-32-10", seed=1))[1])
    assert second.executor == first.executor
    assert set(second.executor_rates) >= {"eager", "onnxruntime"}


async def test_several_inputs_and_outputs_by_name_keep_their_order(store: ArtifactStore, loaders: Loaders) -> None:
    _, digest = await _put(store, "test-two-inputs")
    inputs = {"x": np.ones((3, 4), np.float32), "index": np.array([[0], [1], [1]])}
    one, other = await loaders(executor="onnxruntime").load(digest), await loaders(executor="eager").load(digest)
    assert one.executor == "onnxruntime"
    found, wanted = one.infer(inputs), other.infer(inputs)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-5)
    np.testing.assert_array_equal(found["label"], wanted["label"])


async def test_openvino_computes_an_architecture_in_the_precision_that_is_said(
    store: ArtifactStore, loaders: Loaders
) -> None:
    """By a version's options alone: never because it is installed."""
    loader = loaders(executor="eager")
    _, digest = await _put(store, "digits-cnn")
    eager = await loader.load(digest)
    wanted = eager.infer({"image": IMAGES})["scores"]
    full = await loader.load(digest, VersionOptions(executor="openvino"))
    found = full.infer({"image": IMAGES})["scores"]
    assert (eager.executor, full.executor) == ("eager", "openvino")
    np.testing.assert_allclose(found, wanted, atol=1e-5)

    with pytest.raises(ExecutorUnavailableError, match="'eager' does not compute with bf16"):
        await loader.load_exactly(digest, "eager", "bf16")
    with pytest.raises(ExecutorUnavailableError, match="'channels-last' cannot run 'linear'"):
        await loader.load((await _put(store, "linear"))[1], VersionOptions(executor="channels-last"))
    if not has_bf16():
        with pytest.raises(ExecutorUnavailableError, match="this processor does not compute with bf16"):
            await loader.load(digest, VersionOptions(precision="bf16"))
    need_bf16()
    lower = await loader.load(digest, VersionOptions(precision="bf16"))
    rough = lower.infer({"image": IMAGES})["scores"]
    assert lower.executor == "openvino"
    off = np.abs(rough - wanted).max() / np.abs(wanted).max()
    assert 1e-4 < off < 0.1
    rows = lower.padded_rows(len(IMAGES))
    again = await loader.load_exactly(digest, "openvino", "bf16")
    assert again.infer_exactly({"image": IMAGES}, padded_batch_size=rows)["scores"].tobytes() == rough.tobytes()


async def test_what_cannot_be_exported_is_served_by_eager_and_not_tried_twice(
    store: ArtifactStore, loaders: Loaders, graphs: Path
) -> None:
    manifest, digest = await _put(store, "test-stubborn")
    assert (await loaders(executor="onnxruntime").load(digest)).executor == "eager"
    with pytest.raises(ExecutorUnavailableError, match="onnxruntime graph of 'test-stubborn'"):
        GraphFiles(graphs, MAKE_MS_MAX).find("onnxruntime", manifest)
    with pytest.raises(ExecutorUnavailableError):
        await loaders().load_exactly(digest, "onnxruntime")


@pytest.mark.parametrize("name", ["test-rows-mix", "test-fixed-rows"])
async def test_where_rows_may_not_be_added_none_are(name: str, store: ArtifactStore, loaders: Loaders) -> None:
    _, digest = await _put(store, name)
    model = await loaders(executor="eager").load(digest)
    inputs = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert model.padded_rows(3) == 3
    assert len(model.infer({"x": inputs})["y"]) == 3


async def test_a_graph_that_is_there_does_not_wait_for_one_that_is_being_made(
    store: ArtifactStore, graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that was promoted stood still for 98 s while another one's graph was made aside, at low priority."""
    manifest, _ = await _put(store, "digits-cnn")
    other, _ = await _put(store, "linear")
    files = GraphFiles(graphs, MAKE_MS_MAX)
    path = files.make("onnxruntime", manifest)
    begun, done = tmp_path / "begun", threading.Event()
    endless = f"import time; open({str(begun)!r}, 'w').close(); time.sleep(600)"
    monkeypatch.setattr(graph_files, "MAKER_COMMAND", (sys.executable, "-c", endless))

    def make_other() -> None:
        with pytest.raises(ExecutorUnavailableError):
            files.make("compile", other)
        done.set()

    making = threading.Thread(target=make_other)
    making.start()
    try:
        while not begun.exists():
            await asyncio.sleep(0.01)
        assert await asyncio.wait_for(asyncio.to_thread(files.make, "onnxruntime", manifest), 60) == path
        assert not done.is_set()
    finally:
        files.close()
        making.join()


MAKES_ONE = """
import json, sys, time
from pathlib import Path
order = json.loads(sys.stdin.readline())
target = Path(order["target"])
with target.with_name("made").open("a") as made:
    made.write("one ")
time.sleep(1)
target.write_text("a graph")
"""


async def test_processes_that_want_the_same_graph_have_it_made_once(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four workers of one machine made four, each for seconds."""
    manifest, _ = await _put(store, "digits-cnn")
    monkeypatch.setattr(graph_files, "MAKER_COMMAND", (sys.executable, "-c", MAKES_ONE))
    paths = await asyncio.gather(
        *(asyncio.to_thread(GraphFiles(tmp_path, MAKE_MS_MAX).make, "onnxruntime", manifest) for _ in range(3))
    )
    assert len(set(paths)) == 1
    assert paths[0].read_text() == "a graph"
    assert (tmp_path / "made").read_text() == "one "


async def test_whoever_closes_waits_for_no_graph_of_others(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, _ = await _put(store, "digits-cnn")
    monkeypatch.setattr(graph_files, "MAKER_COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))
    one, other = (GraphFiles(tmp_path, MAKE_MS_MAX) for _ in range(2))
    making = asyncio.create_task(asyncio.to_thread(one.make, "onnxruntime", manifest))
    while not os.listdir(tmp_path):
        await asyncio.sleep(0.01)
    waiting = asyncio.create_task(asyncio.to_thread(other.make, "onnxruntime", manifest))
    await asyncio.sleep(0.5)
    other.close()
    with pytest.raises(ExecutorUnavailableError):
        await asyncio.wait_for(waiting, 60)
    assert not making.done()
    one.close()
    with pytest.raises(ExecutorUnavailableError):
        await asyncio.wait_for(making, 60)


async def test_a_damaged_graph_is_made_anew(store: ArtifactStore, loaders: Loaders, graphs: Path) -> None:
    manifest, digest = await _put(store, "digits-cnn")
    path = GraphFiles(graphs, MAKE_MS_MAX).make("onnxruntime", manifest)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert (await loaders(executor="onnxruntime").load(digest)).executor == "eager"
    assert not path.exists()
    path.write_bytes(content)
    assert (await loaders(executor="onnxruntime").load(digest)).executor == "onnxruntime"


async def test_a_graph_of_something_else_is_noticed(store: ArtifactStore, loaders: Loaders, graphs: Path) -> None:
    """The graph multiplies by two; its shapes and weights fit."""
    onnx = pytest.importorskip("onnx")
    manifest, digest = await _put(store, "digits-cnn")
    path = GraphFiles(graphs, MAKE_MS_MAX).make("onnxruntime", manifest)
    good = path.read_bytes()
    names, _, content = good.partition(b"\n")
    graph = onnx.load_from_string(content)
    last = graph.graph.node[-1]
    renamed, answered = "before", last.output[0]
    last.output[0] = renamed
    graph.graph.node.append(onnx.helper.make_node("Add", [renamed, renamed], [answered]))
    path.write_bytes(names + b"\n" + graph.SerializeToString())
    try:
        model = await loaders(executor="onnxruntime").load(digest)
        assert model.executor == "eager"
    finally:
        path.write_bytes(good)


async def test_an_artifact_changed_in_the_folder_is_not_loaded(
    store: ArtifactStore, loaders: Loaders, tmp_path: Path
) -> None:
    _, digest = await _put(store, "linear")
    (path,) = (tmp_path / "store").rglob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DigestMismatchError):
        await loaders(executor="eager").load(digest)


@pytest.mark.parametrize("executor", ["eager", "channels-last", "onnxruntime", "compile"])
async def test_two_threads_may_ask_one_version_at_once(executor: str, store: ArtifactStore, loaders: Loaders) -> None:
    """As when a version is pinned by some requests and shadows others."""
    if executor == "compile" and shutil.which("c++") is None:
        pytest.skip("torch compiles with a C++ compiler, and there is none")
    # To compile the other takes twice as long.
    name, images = (
        ("ffnn-784-32-32-32-10", IMAGES.reshape(21, 784)) if executor == "compile" else ("digits-cnn", IMAGES)
    )
    _, digest = await _put(store, name)
    model = await loaders().load_exactly(digest, executor)
    parts = [images[:1], images[1:]]
    wanted = [model.infer({"image": part})["scores"].tobytes() for part in parts]

    def ask(index: int) -> set[bytes]:
        return {model.infer({"image": parts[index]})["scores"].tobytes() for _ in range(50)}

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(ask, (0, 1)))
    assert model.executor == executor
    assert found == [{wanted[0]}, {wanted[1]}]


@pytest.mark.parametrize("executor", ["eager", "channels-last", "onnxruntime"])
async def test_an_answer_is_reproduced_bit_for_bit(executor: str, store: ArtifactStore, loaders: Loaders) -> None:
    """The request was rows 7 to 9 of a batch of 21 that was padded."""
    _, digest = await _put(store, "digits-cnn")
    model = await loaders(executor=executor).load(digest)
    answered = model.infer({"image": IMAGES})["scores"][7:10]
    found = await reproduce(
        loaders(),
        artifact_digest=digest,
        executor=model.executor,
        padded_batch_size=model.padded_rows(len(IMAGES)),
        inputs={"image": IMAGES[7:10]},
        answered={"scores": answered},
    )
    assert found.executor == executor
    assert found.equal


async def test_no_such_executor_or_device_is_said_clearly(store: ArtifactStore, loaders: Loaders) -> None:
    _, digest = await _put(store, "linear")
    with pytest.raises(ExecutorUnavailableError, match="known are eager, channels-last, onnxruntime, compile"):
        await loaders().load_exactly(digest, "tensorrt")
    with pytest.raises(ExecutorUnavailableError, match="'channels-last' cannot run 'linear'"):
        await loaders().load_exactly(digest, "channels-last")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigurationError, match="sees no CUDA device"):
            loaders(device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
async def test_a_version_on_the_gpu_answers_and_frees_its_memory(store: ArtifactStore, loaders: Loaders) -> None:
    _, digest = await _put(store, "digits-cnn")
    model = await loaders(device="cuda").load(digest)
    expected = (await loaders(executor="eager").load(digest)).infer({"image": IMAGES})["scores"]
    np.testing.assert_allclose(model.infer({"image": IMAGES})["scores"], expected, atol=1e-3)
    model.close()
