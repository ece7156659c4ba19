"""Evaluation in a process of its own: figures on a set that has a digest for a name, and every bad end as an error."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
import torch

from hotswap_stream.adapters.artifacts.config import ArtifactStoreConfig, open_artifact_store
from hotswap_stream.adapters.evaluation.process import set_evaluator_command
from hotswap_stream.adapters.torch.data.bad_data import make_data
from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.adapters.torch.data.files import save_data_file
from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.adapters.torch.training.evaluator_process import evaluator_command
from hotswap_stream.adapters.torch.training.fit import FitOptions, fit
from hotswap_stream.adapters.torch.training.run import item_shape_of
from hotswap_stream.application.artifacts.store import ArtifactStore
from hotswap_stream.application.training.evaluation import (
    EvaluationFailedError,
    Measured,
    MeasuredOnSet,
    NotMeasurableError,
)
from hotswap_stream.errors import HotswapError
from hotswap_stream.workers.training.subprocess_evaluator import SubprocessEvaluator
from tests.support.checkout import ROOT
from tests.support.samples.artifacts import linear_artifact

SET_BYTES_MAX = 64 * 1024**2
READ_ORDER = "import json, os, sys, time; order = json.loads(sys.stdin.readline());"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The started processes find the package, installed or not."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "events")]))


@pytest.fixture
def store() -> ArtifactStore:
    return open_artifact_store(ArtifactStoreConfig(url="memory://"))


def _evaluator(
    store: ArtifactStore, folder: Path, *, command: Sequence[str] | None = None, seconds_max: float = 90.0
) -> SubprocessEvaluator:
    return SubprocessEvaluator(
        command or evaluator_command(),
        store,
        set_command=set_evaluator_command(),
        folder=folder,
        seconds_max=seconds_max,
        set_bytes_max=SET_BYTES_MAX,
    )


def _on_digits(measured: Measured | MeasuredOnSet) -> Measured:
    assert isinstance(measured, Measured)
    return measured


def _in_python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", READ_ORDER + code)


def _trained(data: LabeledImages, *, epochs: int) -> bytes:
    architecture = "ffnn-784-32-32-32-10"
    torch.manual_seed(0)
    module, manifest = build_module(architecture, {}), manifest_of(architecture, {})
    options = FitOptions(epochs=epochs, batch_size=32, learning_rate=0.01, seed=0)
    fit(module, data, options, lambda _progress: None, item_shape_of(manifest))
    return save_module(module, manifest)


async def test_versions_are_measured_on_the_same_set(store: ArtifactStore, tmp_path: Path) -> None:
    split = load_digits_split()
    good = await store.put_artifact(_trained(split.train, epochs=8))
    bad = await store.put_artifact(_trained(make_data(split.train, "inverted"), epochs=3))
    measured = _on_digits(await _evaluator(store, tmp_path).measure(bad.digest, compared_with=good.digest))
    assert measured.compared is not None
    assert measured.candidate.validation_set == measured.compared.validation_set == split.validation.digest()
    assert measured.compared.accuracy > 0.9
    assert measured.candidate.accuracy < 0.6
    assert measured.candidate.agreement is not None
    assert measured.candidate.agreement < 0.6
    assert measured.candidate.latency_ms_p95 > 0
    assert os.listdir(tmp_path) == []

    own = make_data(split.held_out, "good", count=50)
    save_data_file(tmp_path / "own.safetensors", own)
    file = tmp_path / "own.safetensors"
    alone = _on_digits(await _evaluator(store, tmp_path / "runs").measure(good.digest, data_file=file))
    assert alone.compared is None
    assert (alone.candidate.validation_set, alone.candidate.count) == (own.digest(), 50)


async def test_what_cannot_be_measured_says_why(store: ArtifactStore, tmp_path: Path) -> None:
    linear = await store.put_artifact(linear_artifact())
    with pytest.raises(NotMeasurableError, match="one FP32 input of 784 numbers an item is needed"):
        await _evaluator(store, tmp_path).measure(linear.digest)
    with pytest.raises(EvaluationFailedError, match=r"nothing\.safetensors"):
        await _evaluator(store, tmp_path).measure(linear.digest, data_file=tmp_path / "nothing.safetensors")
    with pytest.raises(HotswapError, match="sha256:" + "0" * 64):
        await _evaluator(store, tmp_path).measure("sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("os.kill(os.getpid(), 9)", "killed by SIGKILL .out of memory"),
        ("sys.stderr.write('no memory'); sys.exit(7)", "exit code 7 before it was done(?s:.)*no memory"),
        ("print('hello'); sys.stdout.flush()", "no line of the protocol"),
        ("sys.exit(0)", "exit code 0 before it was done"),
    ],
)
async def test_a_process_that_breaks_is_an_error(store: ArtifactStore, tmp_path: Path, code: str, says: str) -> None:
    artifact = await store.put_artifact(linear_artifact())
    with pytest.raises(EvaluationFailedError, match=says):
        await _evaluator(store, tmp_path, command=_in_python(code)).measure(artifact.digest)
    assert os.listdir(tmp_path) == []


async def test_a_process_that_hangs_is_ended(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = await store.put_artifact(linear_artifact())
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(EvaluationFailedError, match=r"longer than evaluation_seconds_max=0\.5"):
        await _evaluator(store, tmp_path, command=_in_python("time.sleep(600)"), seconds_max=0.5).measure(
            artifact.digest
        )
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


async def test_a_program_that_is_not_there_is_an_error(store: ArtifactStore, tmp_path: Path) -> None:
    artifact = await store.put_artifact(linear_artifact())
    with pytest.raises(EvaluationFailedError, match="cannot be started"):
        await _evaluator(store, tmp_path, command=("/nonexistent/program",)).measure(artifact.digest)
