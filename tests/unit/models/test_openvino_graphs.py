"""A user's graph in OpenVINO: equal within rounding in full precision, another version in lower, and said so."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hotswap_events.registry.version_options import PLAIN, VersionOptions
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.models import executor_choice
from hotswap_stream.adapters.models.by_kind import LoaderByKind, NotServedError
from hotswap_stream.adapters.models.executor import ExecutorUnavailableError
from hotswap_stream.adapters.onnx import faster
from hotswap_stream.adapters.onnx.loader import GraphExecutorSetting, OnnxModelLoader
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.application.artifacts.bundle import pack_files
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, Package, TensorSpec
from hotswap_stream.application.artifacts.trial import TrialFailedError
from hotswap_stream.application.plugins.names import MissingPlugin, MissingPluginError
from hotswap_stream.errors import HotswapError
from tests.support.samples import graphs
from tests.support.samples.processors import need_bf16

OPENVINO = VersionOptions(executor="openvino")
BF16 = VersionOptions(precision="bf16")
MANIFEST = ArtifactManifest(
    kind="onnx",
    inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
    outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
    warm_up={"x": (1, 4)},
)
TEXTS = ArtifactManifest(
    kind="onnx",
    inputs=(TensorSpec(name="s", datatype="BYTES", shape=(-1,)),),
    outputs=(TensorSpec(name="t", datatype="BYTES", shape=(-1,)),),
    warm_up={"s": (1,)},
)
CONTENT = pack_files(MANIFEST, {GRAPH_FILE: graphs.network()})
ROWS = {"x": np.random.default_rng(0).standard_normal((11, 4), np.float32)}


def loader(executor: GraphExecutorSetting = "onnxruntime") -> OnnxModelLoader:
    return OnnxModelLoader(threads=1, batch_rows_max=16, executor=executor)


async def test_full_precision_is_equal_within_rounding_and_lower_is_not() -> None:
    standard = await loader().load_content(MANIFEST, CONTENT)
    full = await loader().load_content(MANIFEST, CONTENT, OPENVINO)
    assert [model.executor for model in (standard, full)] == ["onnxruntime", "openvino"]
    wanted, found = (model.infer(ROWS)["y"] for model in (standard, full))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    need_bf16()
    lower = await loader().load_content(MANIFEST, CONTENT, BF16)
    assert lower.executor == "openvino"
    rough = lower.infer(ROWS)["y"]
    off = np.abs(rough - wanted).max() / np.abs(wanted).max()
    assert 1e-4 < off < 0.1


async def test_an_answer_is_computed_again_bit_for_bit_with_its_own_precision() -> None:
    with pytest.raises(ExecutorUnavailableError, match="'onnxruntime' does not compute with 'bf16'"):
        await loader().load_content_exactly(MANIFEST, CONTENT, "onnxruntime", "bf16")
    with pytest.raises(ExecutorUnavailableError, match="'eager' does not compute graphs; onnxruntime and openvino do"):
        await loader().load_content_exactly(MANIFEST, CONTENT, "eager")
    need_bf16()
    model = await loader().load_content(MANIFEST, CONTENT, BF16)
    answered = model.infer(ROWS)["y"]
    again = await loader().load_content_exactly(MANIFEST, CONTENT, "openvino", "bf16")
    found = again.infer_exactly(ROWS, padded_batch_size=model.padded_rows(11))["y"]
    assert found.tobytes() == answered.tobytes()


async def test_weights_beside_the_graph_come_from_the_bundle_alone() -> None:
    weights = np.full((4, 2), 2.0, np.float32).tobytes()
    files = {GRAPH_FILE: graphs.with_weights_beside("weights"), "weights": weights}
    content = pack_files(MANIFEST, files)
    rows = {"x": np.ones((1, 4), np.float32)}
    standard = await loader().load_content(MANIFEST, content)
    full = await loader().load_content(MANIFEST, content, OPENVINO)
    assert full.infer(rows)["y"].tolist() == standard.infer(rows)["y"].tolist()


@pytest.mark.parametrize("executor", ["auto", "onnxruntime", "openvino"])
async def test_a_version_without_options_is_served_in_full_precision(executor: GraphExecutorSetting) -> None:
    model = await loader(executor).load_content(MANIFEST, CONTENT)
    wanted = (await loader().load_content(MANIFEST, CONTENT)).infer(ROWS)["y"]
    np.testing.assert_allclose(model.infer(ROWS)["y"], wanted, rtol=1e-4, atol=1e-5)
    assert model.executor == ("openvino" if executor == "openvino" else "onnxruntime")


async def test_what_openvino_does_not_take_stays_with_the_usual_one_unless_it_is_asked_for() -> None:
    content = pack_files(TEXTS, {GRAPH_FILE: graphs.repeating()})
    model = await loader("openvino").load_content(TEXTS, content)
    assert model.executor == "onnxruntime"
    with pytest.raises(ExecutorUnavailableError, match="does not compute texts"):
        await loader().load_content(TEXTS, content, OPENVINO)


async def test_without_openvino_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingPluginError, match=r"executor 'openvino' is not known here.*\[openvino\]") as raised:
        await loader().load_content(MANIFEST, CONTENT, BF16)
    package = Package(name="openvino")
    assert raised.value.missing == MissingPlugin(kind="executor", name="openvino", package=package)
    settings: tuple[GraphExecutorSetting, ...] = ("auto", "openvino")
    for setting in settings:
        assert (await loader(setting).load_content(MANIFEST, CONTENT)).executor == "onnxruntime"


async def test_what_another_release_wrote_is_not_served_in_another_precision() -> None:
    store = open_artifact_store(ArtifactStoreConfig(url="memory://"))
    digest = (await store.put_artifact(CONTENT)).digest
    kinds = LoaderByKind(store, {"onnx": loader})
    with pytest.raises(NotServedError, match="precision 'int8' is not known; known are f32, bf16"):
        await kinds.load(digest, VersionOptions(precision="int8"))
    assert (await kinds.load(digest, PLAIN)).executor == "onnxruntime"


class Aside:
    """Stands where a process of its own runs a graph: this one says what came of that."""

    def __init__(self, content: bytes, error: HotswapError | None = None) -> None:
        self.asked = 0
        self._content, self._error = content, error

    def __call__(self, digest: str) -> bytes:
        self.asked += 1
        assert digest == "sha256:1"
        if self._error is not None:
            raise self._error
        return self._content


async def test_a_version_that_serves_takes_what_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_choice, "fastest", lambda _rates, _standard: "openvino")
    monkeypatch.setattr(faster, "PASS_MS_MIN", 0.0)
    aside = Aside(CONTENT)
    made = OnnxModelLoader(threads=1, batch_rows_max=16, executor="auto", choice_ms_max=1e9, tried_aside=aside)
    model = await made.load_content(MANIFEST, CONTENT, PLAIN, "sha256:1")
    before = model.infer(ROWS)["y"]
    assert made.wait_improved(120)
    after = model.infer(ROWS)["y"]
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
    assert model.executor == "openvino"
    assert set(model.executor_rates) == {"onnxruntime", "openvino"}
    assert aside.asked == 1
    made.close()


async def test_a_setting_brings_openvino_only_to_graphs_that_it_was_tried_with() -> None:
    for error, executor in ((None, "openvino"), (TrialFailedError("the process crashed"), "onnxruntime")):
        aside = Aside(CONTENT, error)
        made = OnnxModelLoader(threads=1, batch_rows_max=16, executor="openvino", tried_aside=aside)
        model = await made.load_content(MANIFEST, CONTENT, PLAIN, "sha256:1")
        assert (model.executor, aside.asked) == (executor, 1)
        made.close()


@pytest.mark.parametrize(
    "spoil",
    [lambda: HotswapError("the process crashed"), None],
    ids=["crashes there", "nothing gained"],
)
async def test_what_is_not_faster_is_not_looked_at_again(
    spoil: Callable[[], HotswapError] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_choice, "GAIN_MIN", 1e9)
    monkeypatch.setattr(faster, "PASS_MS_MIN", 0.0)
    aside = Aside(CONTENT, None if spoil is None else spoil())
    made = OnnxModelLoader(threads=1, batch_rows_max=16, executor="auto", choice_ms_max=1e9, tried_aside=aside)
    for _ in range(2):
        model = await made.load_content(MANIFEST, CONTENT, PLAIN, "sha256:1")
        assert made.wait_improved(120)
        model.infer(ROWS)
        assert model.executor == "onnxruntime"
    assert aside.asked == 1
    made.close()


async def test_a_graph_that_takes_next_to_nothing_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faster, "PASS_MS_MIN", 1e9)
    aside = Aside(CONTENT)
    made = OnnxModelLoader(threads=1, batch_rows_max=16, executor="auto", tried_aside=aside)
    await made.load_content(MANIFEST, CONTENT, PLAIN, "sha256:1")
    assert made.wait_improved(120)
    assert aside.asked == 0
    made.close()


def test_it_is_imported_without_the_part_that_sends_data(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from hotswap_stream.adapters.models import openvino\n"
        "openvino._core()\n"
        "print([name for name in sys.modules if 'telemetry' in name or name == 'openvino.tools.ovc'])\n"
    )
    # What it would send, it would also keep in the home folder.
    found = {**os.environ, "HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=found)
    assert ran.stdout.strip().splitlines()[-1] == "[]"
    assert list(tmp_path.iterdir()) == []
