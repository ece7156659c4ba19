"""An architecture's graph stands in where its code is missing: checked when registered, tried before it serves."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import structlog
import torch
from msgspec.structs import replace

from hotswap_events.commands import Refusal
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream import bootstrap
from hotswap_stream.adapters.models.by_kind import ContentLoader, LoaderByKind
from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.models.graph_first import GraphFirst
from hotswap_stream.adapters.onnx.exported import ExportedGraph, pack_exported
from hotswap_stream.adapters.onnx.exported_loader import ExportedGraphLoader
from hotswap_stream.adapters.torch.executors.config import ExecutorConfig
from hotswap_stream.adapters.torch.executors.executors import EagerExecutor
from hotswap_stream.adapters.torch.executors.exporting import GraphExporter, exporter_command
from hotswap_stream.adapters.torch.executors.graph_files import GraphFiles
from hotswap_stream.adapters.torch.executors.loader import TorchModelLoader
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.loading import load_module
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.application.artifacts.facts import Registrable, registrable_artifact
from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.plugins.names import MissingPluginError
from hotswap_stream.application.swap.loader import LoadedModel
from hotswap_stream.settings import Settings
from tests.support.samples import executors as executor_samples

pytestmark = pytest.mark.timeout(360)
MAKE_MS_MAX = 300_000
NAME = "ffnn-784-32-32-32-10"
ROWS = np.random.default_rng(0).random((5, 784), np.float32)


def artifact(seed: int, architecture: str = NAME) -> bytes:
    torch.manual_seed(seed)
    return save_module(build_module(architecture, {}), manifest_of(architecture, {}))


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Graphs are made once for all tests here: each takes seconds."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture
def settings(tmp_path: Path, graphs: Path) -> Settings:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "executors").symlink_to(graphs)
    return Settings(home=tmp_path / "home", cache=cache)


@pytest.fixture
def store(settings: Settings) -> ArtifactStore:
    return bootstrap.artifact_store(settings, "test.environment")


def without_torch(settings: Settings, store: ArtifactStore, *, tries: bool = True) -> LoaderByKind:
    """What loads versions where torch cannot be imported."""

    def architectures() -> ContentLoader:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    trials = bootstrap.stored_trials(settings, store).exported if tries else None
    return LoaderByKind(
        store,
        {"architecture": architectures},
        exported=lambda: ExportedGraphLoader(store, threads=1, batch_rows_max=16, check=trials),
    )


async def test_versions_of_an_architecture_share_a_graph_that_computes_what_torch_does(
    settings: Settings, store: ArtifactStore
) -> None:
    first, second = artifact(1), artifact(2)
    one = await bootstrap.stored_model(settings, store, first, None)
    other = await registrable_artifact(
        store,
        bootstrap.stored_trials(settings, store),
        (await store.put_artifact(second)).digest,
        exported=bootstrap.graph_exporter(settings, store),
    )
    assert isinstance(other, Registrable)
    assert one.graph is not None
    assert one.graph == other.graph
    assert one.graph.size_bytes < one.artifact.size_bytes / 10
    assert one.artifact.digest != other.artifact.digest
    stored = (await store.fetch(one.graph.digest)).content
    assert str(Path.home()).encode() not in stored
    assert b"site-packages" not in stored

    loader = without_torch(settings, store)
    for content, found in ((first, one), (second, other)):
        model = await loader.load(found.artifact.digest, graph_digest=one.graph.digest)
        manifest = model.manifest
        assert (model.executor, manifest.architecture) == ("exported-graph", NAME)
        eager = EagerExecutor(load_module(manifest, content), manifest)
        answered = model.infer({manifest.inputs[0].name: ROWS})
        np.testing.assert_allclose(answered[manifest.outputs[0].name], eager.run([ROWS])[0], rtol=1e-4, atol=1e-5)
        exact = await loader.load_exactly(found.artifact.digest, "exported-graph", graph_digest=one.graph.digest)
        again = exact.infer_exactly({manifest.inputs[0].name: ROWS}, padded_batch_size=model.padded_rows(5))
        assert again[manifest.outputs[0].name].tobytes() == answered[manifest.outputs[0].name].tobytes()
        for each in (model, exact):
            each.close()
    # What has the same tensors was tried in a process of its own before it was loaded here, once.
    assert len(list((settings.cache / "trials").glob("*.trial"))) == 1

    with pytest.raises(MissingPluginError, match="need torch, which is not installed here"):
        await loader.load(one.artifact.digest)
    with pytest.raises(ExecutorUnavailableError, match="no graph was exported"):
        await loader.load_exactly(one.artifact.digest, "exported-graph")
    # What the options ask for is more than any graph that stands in gives, whatever computes it.
    for options, only in (
        (VersionOptions(executor="onnxruntime"), "onnxruntime"),
        (VersionOptions(precision="bf16"), "openvino"),
    ):
        with pytest.raises(MissingPluginError, match=f"cannot stand in: only {only} may compute") as caught:
            await loader.load(one.artifact.digest, options, graph_digest=one.graph.digest)
        assert caught.value.missing.kind == "architecture"
    with pytest.raises(ExecutorUnavailableError, match="does not compute with 'bf16'"):
        await loader.load_exactly(one.artifact.digest, "exported-graph", "bf16", graph_digest=one.graph.digest)


async def test_a_graph_that_was_tried_here_answers_while_torch_is_imported(
    settings: Settings, store: ArtifactStore
) -> None:
    found = await bootstrap.stored_model(settings, store, artifact(1), None)
    assert found.graph is not None
    digest, graph = found.artifact.digest, found.graph.digest
    trials = bootstrap.stored_trials(settings, store)
    slow = True

    def loader(seconds: float, *, fails: bool = False) -> LoaderByKind:
        def architectures() -> ContentLoader:
            assert not fails, "no such luck"
            return TorchModelLoader(store, config=ExecutorConfig(executor="eager", batch_rows_max=128))

        return LoaderByKind(
            store,
            {"architecture": architectures},
            exported=lambda: ExportedGraphLoader(store, threads=1, batch_rows_max=128, check=trials.exported),
            graph_first=GraphFirst(trials, lambda: slow, later_seconds=seconds),
        )

    async def computed(model: LoadedModel) -> tuple[str, bytes]:
        answered = await asyncio.to_thread(lambda: (model.infer({"image": ROWS})["scores"], model.executor))
        return answered[1], answered[0].tobytes()

    async def is_so(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(120):
            while not await condition():
                await asyncio.sleep(0.02)

    # A machine that has not seen the graph waits for the code, and tries the graph for the next time.
    learning = loader(0.0)
    usual = await computed(await learning.load(digest, graph_digest=graph))
    assert usual[0] == "eager"
    content = (await store.fetch(digest)).content
    await is_so(lambda: trials.knows(content, graph))
    learning.close()

    starting = loader(0.0)
    model = await starting.load(digest, graph_digest=graph)
    first = await computed(model)
    assert first[0] in ("exported-graph", "eager")
    await is_so(lambda: _is(model, "eager"))
    assert await computed(model) == usual
    starting.close()

    # What is computed first is computed again bit for bit by what the answer names.
    waiting = loader(3600.0)
    model = await waiting.load(digest, graph_digest=graph)
    name, answered = await computed(model)
    assert name == "exported-graph"
    exact = await waiting.load_exactly(digest, name, graph_digest=graph)
    again = exact.infer_exactly({"image": ROWS}, padded_batch_size=model.padded_rows(len(ROWS)))
    assert again["scores"].tobytes() == answered
    # Options that name what computes it are kept, whatever that takes.
    forced = await waiting.load(digest, VersionOptions(executor="eager"), graph_digest=graph)
    assert await computed(forced) == usual
    slow = False
    assert (await computed(await waiting.load(digest, graph_digest=graph)))[0] == "eager"
    waiting.close()

    slow = True
    with structlog.testing.capture_logs() as logs:
        lame = loader(0.0, fails=True)
        model = await lame.load(digest, graph_digest=graph)
        await is_so(lambda: _logged(logs, "graph_answers_on"))
    assert await computed(model) == (name, answered)


async def _is(model: LoadedModel, executor: str) -> bool:
    return await asyncio.to_thread(lambda: model.executor) == executor


async def _logged(logs: Sequence[Mapping[str, object]], event: str) -> bool:
    return event in {entry["event"] for entry in logs}


async def test_a_graph_that_cannot_stand_in_says_why(settings: Settings, store: ArtifactStore) -> None:
    found = await store.put_artifact(artifact(1))
    manifest = manifest_of(NAME, {})

    async def refusal(content: bytes, *, tries: bool = False) -> str:
        loader = without_torch(settings, store, tries=tries)
        graph_digest = (await store.put_artifact(content)).digest
        with pytest.raises(MissingPluginError) as caught:
            await loader.load(found.digest, graph_digest=graph_digest)
        assert caught.value.missing.package is not None
        assert caught.value.missing.package.name == "torch"
        return str(caught.value)

    graph = ExportedGraph(b"\x08\x07garbage", {"module.0.weight": "nothing.weight"})
    garbage = pack_exported(manifest, graph)
    assert "its graph cannot stand in: neither" in await refusal(garbage, tries=True)
    assert "has no weights 'nothing.weight'" in await refusal(garbage)
    assert "takes or returns something else" in await refusal(pack_exported(manifest_of("linear", {}), graph))
    assert "takes or returns something else" in await refusal(artifact(2))


async def test_what_cannot_be_exported_is_registered_all_the_same(settings: Settings, store: ArtifactStore) -> None:
    content = artifact(1)
    with structlog.testing.capture_logs() as logs:
        late = await bootstrap.stored_model(replace(settings, executor_graph_ms_max=1), store, content, None)
    assert late.graph is None
    assert [(entry["event"], entry["reason"]) for entry in logs] == [("graph_not_exported", "it took longer than 1 ms")]
    assert (await bootstrap.stored_model(replace(settings, graphs_exported=False), store, content, None)).graph is None


async def test_why_torch_cannot_export_is_said_and_kept(graphs: Path, store: ArtifactStore) -> None:
    manifest = manifest_of("test-stubborn", {})
    found = await store.put_artifact(artifact(1, "test-stubborn"))
    export = GraphExporter(
        store,
        exporter_command([executor_samples.__name__]),
        graph_folder=graphs,
        graph_ms_max=MAKE_MS_MAX,
        batch_rows_max=16,
        threads=1,
    )
    with structlog.testing.capture_logs() as logs:
        assert await export(found.digest, manifest) is None
    (reason,) = [entry["reason"] for entry in logs if entry["event"] == "graph_not_exported"]
    with pytest.raises(ExecutorUnavailableError) as kept:
        GraphFiles(graphs, MAKE_MS_MAX).find("onnxruntime", manifest)
    assert reason == str(kept.value)
    assert reason.startswith("onnxruntime graph of 'test-stubborn': ")


async def test_a_graph_is_no_version(settings: Settings, store: ArtifactStore, tmp_path: Path) -> None:
    content = pack_exported(manifest_of(NAME, {}), ExportedGraph(b"graph", {}))
    facts = await store.put_artifact(content)
    refused = await registrable_artifact(store, bootstrap.stored_trials(settings, store), facts.digest)
    assert isinstance(refused, Refusal)
    assert "without weights; it cannot be a version" in refused.reason
    file = tmp_path / "graph.safetensors"
    file.write_bytes(content)
    with pytest.raises(ArtifactFormatError, match="register the versions whose weights it takes"):
        await bootstrap.imported_model(settings, file, {}, ModelOptions())
