"""Evaluation on a model's own set, in a process of its own: artifacts of any kind, and every set that does not fit."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hotswap_events.registry.version_options import VersionOptions
from hotswap_events.validation.sets import ValidationSet
from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.evaluation.labelled_set import Array, labelled_set
from hotswap_stream.adapters.evaluation.process import set_evaluator_command
from hotswap_stream.adapters.evaluation.set_artifacts import pack_set
from hotswap_stream.adapters.models.openvino import has_bf16
from hotswap_stream.adapters.onnx.names import GRAPH_FILE
from hotswap_stream.adapters.torch.training.evaluator_process import evaluator_command
from hotswap_stream.application.artifacts.bundle import pack_files
from hotswap_stream.application.artifacts.manifest import ArtifactManifest, TensorSpec
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.training.evaluation import (
    EvaluationFailedError,
    Metric,
    NotMeasurableError,
    SetEvaluation,
)
from hotswap_stream.application.training.validation_sets import set_facts
from hotswap_stream.workers.training.subprocess_evaluator import SubprocessEvaluator
from tests.support.checkout import ROOT
from tests.support.samples.artifacts import linear_artifact
from tests.support.samples.graphs import linear

EVALUATOR = """
from hotswap_stream.plugins import Metric, evaluator


@evaluator("profit")
def profit(outputs, labels):
    rows = len(outputs["y"]) if set(labels) == {"target"} else 0
    return [Metric(name="gain", value=float(rows), better="higher", unit="euro")]


@evaluator("loss")
def loss(outputs, labels):
    return 1 / 0
"""
ROWS = 40
X = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)
SUMS = X.sum(axis=1, keepdims=True).repeat(2, axis=1).astype(np.float64)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The started processes find the package, installed or not."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "events")]))


@pytest.fixture
def store() -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url="memory://"))


@pytest.fixture
def evaluator(store: ArtifactStore, tmp_path: Path) -> SubprocessEvaluator:
    return SubprocessEvaluator(
        evaluator_command(),
        store,
        set_command=set_evaluator_command(),
        folder=tmp_path / "runs",
        seconds_max=90.0,
        set_bytes_max=1024**2,
    )


BF16 = VersionOptions(precision="bf16")


async def graph(store: ArtifactStore, scale: float = 1.0) -> str:
    """Both outputs are the sum of four features, times `scale`."""
    manifest = ArtifactManifest(
        kind="onnx",
        inputs=(TensorSpec(name="x", datatype="FP32", shape=(-1, 4)),),
        outputs=(TensorSpec(name="y", datatype="FP32", shape=(-1, 2)),),
        warm_up={"x": (1, 4)},
    )
    return (await store.put_artifact(pack_files(manifest, {GRAPH_FILE: linear(scale)}))).digest


async def chosen(store: ArtifactStore, kind: str | None = None, **arrays: Array) -> ValidationSet:
    labelled = labelled_set(arrays, kind=kind)
    facts = await store.put_artifact(pack_set(labelled))
    return ValidationSet(
        artifact_digest=facts.digest,
        size_bytes=facts.size_bytes,
        kind=labelled.facts.kind,
        rows=labelled.facts.rows,
    )


async def test_a_graph_and_an_architecture_on_the_same_set(
    store: ArtifactStore, evaluator: SubprocessEvaluator
) -> None:
    own = await chosen(store, x=X.astype(np.float64), target=SUMS)
    right, doubled = await graph(store), await graph(store, 2.0)
    measured = await evaluator.measure(doubled, compared_with=right, validation_set=own)
    assert isinstance(measured.compared, SetEvaluation)
    assert isinstance(measured.candidate, SetEvaluation)
    assert measured.candidate.validation_set == measured.compared.validation_set == own.artifact_digest
    assert measured.compared.figures()["mae"] == pytest.approx(0, abs=1e-5)
    figures = measured.candidate.figures()
    assert figures["mae"] == pytest.approx(np.abs(SUMS).mean(), rel=1e-5)
    assert figures["difference_mae"] == pytest.approx(np.abs(SUMS).mean(), rel=1e-5)
    assert figures["latency_ms_p95"] > 0
    assert {metric.name: metric.better for metric in measured.candidate.metrics}["r2"] == "higher"

    if has_bf16():
        rough = await evaluator.measure(right, compared_with=right, options=BF16, validation_set=own)
        assert isinstance(rough.compared, SetEvaluation)
        assert rough.compared.figures()["mae"] == pytest.approx(0, abs=1e-5)
        assert 1e-4 < rough.candidate.figures()["difference_mae"] < 0.1

    architecture = (await store.put_artifact(linear_artifact())).digest
    mixed = await evaluator.measure(architecture, compared_with=right, validation_set=own)
    assert "difference_mae" in mixed.candidate.figures()


async def test_a_set_in_a_file_has_the_digest_it_would_have_in_the_store(
    store: ArtifactStore, evaluator: SubprocessEvaluator, tmp_path: Path
) -> None:
    np.savez(tmp_path / "set.npz", x=X, target=SUMS)
    packed = pack_set(labelled_set({"x": X, "target": SUMS}))
    measured = await evaluator.measure(await graph(store), data_file=tmp_path / "set.npz")
    assert measured.candidate.validation_set == (await store.put_artifact(packed)).digest


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X[:, :3], "target": SUMS}, r"shape \[3\]; the model takes \[4\]"),
        ({"x": X, "z": X, "target": SUMS}, r"\['x', 'z'\] to go into the model; the model takes \['x'\]"),
        ({"x": X, "target": SUMS[:, :1]}, "no outputs fit 'target'"),
        ({"x": np.where(X > 0, np.nan, X), "target": SUMS}, "holds NaN or infinity, which the model does not take"),
        ({"x": np.full((3, 4), 1e300), "target": SUMS[:3]}, "which cannot hold it"),
        ({"x": np.full((3, 4), "a", object), "target": SUMS[:3]}, "the model takes FP32"),
        ({"x": np.full((3, 4), 3e38, np.float32), "target": SUMS[:3]}, "'y' holds NaN or infinity in 3 of 3 rows"),
        ({"x": X, "labels": np.arange(ROWS)}, r"labels \['10', .* are none of the model's 2 classes"),
        ({"x": X, "labels": np.full(ROWS, -1)}, r"labels \['-1'\] are none"),
        ({"x": X, "labels": np.full(ROWS, "cat", object)}, r"labels \['cat'\] are none"),
    ],
)
async def test_sets_that_do_not_fit_the_model(
    store: ArtifactStore, evaluator: SubprocessEvaluator, arrays: dict[str, Any], words: str
) -> None:
    with pytest.raises(NotMeasurableError, match=words):
        await evaluator.measure(await graph(store), validation_set=await chosen(store, **arrays))


async def test_without_a_set_a_graph_is_not_measured_and_the_way_out_is_told(
    store: ArtifactStore, evaluator: SubprocessEvaluator, tmp_path: Path
) -> None:
    with pytest.raises(NotMeasurableError, match="hotswap-stream validation-set choose MODEL FILE"):
        await evaluator.measure(await graph(store))
    assert os.listdir(tmp_path / "runs") == []


async def test_a_kind_that_nothing_here_measures(store: ArtifactStore, evaluator: SubprocessEvaluator) -> None:
    own = await chosen(store, "profit", x=X, target=SUMS)
    with pytest.raises(
        EvaluationFailedError, match=r"evaluator 'profit' is not known here.* without a plug-in are classification"
    ):
        await evaluator.measure(await graph(store), validation_set=own)


async def test_an_evaluator_of_the_user_s_own(
    store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]))
    (tmp_path / "our_money.py").write_text(EVALUATOR)
    evaluator = SubprocessEvaluator(
        evaluator_command(),
        store,
        set_command=set_evaluator_command(["our_money"]),
        folder=tmp_path / "runs",
        seconds_max=90.0,
        set_bytes_max=1024**2,
    )
    model = await graph(store)
    measured = await evaluator.measure(model, validation_set=await chosen(store, "profit", x=X, target=SUMS))
    assert isinstance(measured.candidate, SetEvaluation)
    assert measured.candidate.metrics == (Metric(name="gain", value=float(ROWS), better="higher", unit="euro"),)
    own = await chosen(store, "loss", x=X, target=SUMS)
    with pytest.raises(EvaluationFailedError, match="evaluator 'loss' raised ZeroDivisionError"):
        await evaluator.measure(model, validation_set=own)


async def test_what_is_no_set_is_not_measured_on(
    store: ArtifactStore, evaluator: SubprocessEvaluator, tmp_path: Path
) -> None:
    model = await graph(store)
    own = ValidationSet(artifact_digest=model, size_bytes=1, kind="regression", rows=1)
    with pytest.raises(EvaluationFailedError, match="a validation set is needed"):
        await evaluator.measure(model, validation_set=own)
    np.savez(tmp_path / "large.npz", x=np.zeros((100_000, 4)), target=np.zeros(100_000))
    with pytest.raises(EvaluationFailedError, match="bytes; at most 1048576 are allowed"):
        await evaluator.measure(model, data_file=tmp_path / "large.npz")


async def test_the_manifest_of_a_set_says_what_it_is(store: ArtifactStore) -> None:
    own = await chosen(store, x=X, target=SUMS)
    found = await store.fetch(own.artifact_digest)
    assert set_facts(found.manifest).kind == "regression"
