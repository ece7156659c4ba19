"""Directories that MLflow itself wrote: each becomes a graph that answers as the model, or is refused in words."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from hotswap_stream.application.mlflow.source import SourceRefusedError
from hotswap_stream.bootstrap.mlflow.fetching import FetchedModel, fetched_model
from hotswap_stream.settings import Settings, load_settings
from tests.support.samples import mlflow_directories
from tests.support.samples.mlflow_directories import LABELS, ROWS

pytestmark = pytest.mark.slow

ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def directories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("directories")
    subprocess.run(
        [sys.executable, mlflow_directories.__file__, str(folder)],
        check=True,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
    )
    return folder


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # Where what is fetched lies meanwhile: nothing may be left there.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "meanwhile"))
    (tmp_path / "meanwhile").mkdir()
    return load_settings({"HOTSWAP_HOME": str(tmp_path / "home")})


def left() -> list[Path]:
    """What lies there still."""
    return list(Path(tempfile.gettempdir()).iterdir())


def answered(model: FetchedModel, inputs: dict[str, Any]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(model.file.read_bytes())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize(
    ("name", "flavor"),
    [
        ("onnx", "onnx"),
        ("xgboost", "xgboost"),
        ("lightgbm", "lightgbm"),
        ("lightgbm-estimator", "lightgbm"),
    ],
)
async def test_a_model_of_each_flavor_becomes_a_graph(
    name: str, flavor: str, directories: Path, settings: Settings
) -> None:
    async with fetched_model(settings, str(directories / name), owner_named=True) as model:
        assert model.flavor == flavor
        assert model.environment["mlflow"].startswith("3.")
        if name == "onnx":
            assert model.metrics == {}
            inputs = {"X": ROWS}
        else:
            # Nothing was logged to compare with: made-up rows reach both sides of each threshold.
            assert model.facts["example"] == "made up"
            assert any("made up" in warning for warning in model.warnings)
            assert model.metrics["conversion.label_agreement"] == 1.0
            assert model.metrics["conversion.max_abs_difference"] < 1e-6
            inputs = {"x": ROWS}
        # A file with weights stands beside the graph; ONNX Runtime finds none without it.
        if not model.beside:
            found = answered(model, inputs)
            labels = np.asarray(next(value for key, value in found.items() if "label" in key))
            assert (labels.ravel() == LABELS).mean() > 0.9
        else:
            assert name == "onnx"
            assert all(path.is_file() for path in model.beside.values())
    assert left() == []


async def test_a_pipeline_with_columns_is_compared_on_the_rows_that_were_logged(
    directories: Path, settings: Settings
) -> None:
    async with fetched_model(settings, str(directories / "skops"), owner_named=True) as model:
        assert (model.flavor, model.facts["example"]) == ("sklearn", "logged with the model")
        assert model.metrics["conversion.rows"] == 50.0
        kinds = np.where(ROWS[:, 1:2] > 0, "cat", "dog").astype(object)
        found = answered(model, {"size": ROWS[:, :1], "kind": kinds})
        assert (np.asarray(found["label"]).ravel() == LABELS).mean() > 0.7


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pickle", r"never opened.*skops.*publish"),
        ("cloudpickle", r"never opened.*skops.*publish"),
        ("pyfunc", r"python_function.*runtime plug-in"),
    ],
)
async def test_pickles_are_refused_and_leave_nothing(
    name: str, says: str, directories: Path, settings: Settings
) -> None:
    with pytest.raises(SourceRefusedError, match=says):
        async with fetched_model(settings, str(directories / name), owner_named=True):
            pass
    assert left() == []


def hostile_skops(place: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(os.system), place)


def hostile(kind: str, folder: Path) -> str:
    """A directory that claims to be a model; returns what must be said of it."""
    folder.mkdir()
    said, name, content, says = {
        "xgboost": ("{xgboost: {data: m.ubj}}", "m.ubj", b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{", "cannot"),
        "lightgbm": ("{lightgbm: {data: m.lgb}}", "m.lgb", b"tree\nversion=v4\nnum_class=9999999\n", "cannot"),
        "zip": ("{sklearn: {pickled_model: m, serialization_format: skops}}", "m", b"PK\x03\x04nothing", "cannot"),
        "skops": ("{sklearn: {pickled_model: m, serialization_format: skops}}", "m", b"", "posix.system"),
        "onnx": ("{onnx: {data: m.onnx}}", "m.onnx", b"\x08\x09" + b"\xff" * 100, "cannot be read"),
    }[kind]
    (folder / "MLmodel").write_text(f"flavors: {said}")
    if kind == "skops":
        hostile_skops(folder / name)
    else:
        (folder / name).write_bytes(content)
    return says


@pytest.mark.parametrize("kind", ["xgboost", "lightgbm", "zip", "skops", "onnx"])
async def test_files_that_mean_harm_are_refused_in_words(kind: str, tmp_path: Path, settings: Settings) -> None:
    says = await asyncio.to_thread(hostile, kind, tmp_path / "model")
    with pytest.raises(SourceRefusedError, match=says):
        async with fetched_model(settings, str(tmp_path / "model"), owner_named=True):
            pass
    assert left() == []


async def test_a_program_is_opened_only_where_it_is_trusted(tmp_path: Path, settings: Settings) -> None:
    import torch

    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {pytorch: {model_data: data}}")
    program = torch.export.export(torch.nn.Linear(4, 2), (torch.ones(2, 4),))
    await asyncio.to_thread(torch.export.save, program, folder / "data" / "model.pt2")
    with pytest.raises(SourceRefusedError, match=r"--trust-file.*HOTSWAP_MLFLOW_TRUST_PROGRAMS"):
        async with fetched_model(settings, str(folder), owner_named=True):
            pass
    with pytest.raises(SourceRefusedError, match="without an example"):
        async with fetched_model(settings, str(folder), owner_named=True, trust_programs=True):
            pass


async def test_whoever_stops_waiting_leaves_no_process_and_no_file(directories: Path, settings: Settings) -> None:
    import psutil

    async def wait() -> None:
        async with fetched_model(settings, str(directories / "xgboost"), owner_named=True):
            raise AssertionError("it was cancelled before")

    waiting = asyncio.create_task(wait())
    while not any("conversion_process" in " ".join(child.cmdline()) for child in psutil.Process().children()):
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not any("conversion_process" in " ".join(child.cmdline()) for child in psutil.Process().children())
    assert left() == []
