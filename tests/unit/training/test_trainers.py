"""Trainers in Python: parameters are refused before anything starts, and what they return becomes a file."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import Struct

from hotswap_stream.adapters.evaluation.labelled_set import labelled_set
from hotswap_stream.adapters.evaluation.set_artifacts import pack_set
from hotswap_stream.adapters.trainers.host import run_trainer
from hotswap_stream.application.artifacts.file import digest_of_artifact, read_manifest
from hotswap_stream.application.artifacts.trial import ModelOptions
from hotswap_stream.application.plugins.finding import name_modules
from hotswap_stream.application.plugins.names import BUILT_IN_TRAINERS
from hotswap_stream.application.trainers.built_in import BUILT_IN_PARAMETERS, wrong_parameters
from hotswap_stream.application.trainers.commands import parse_trainer_commands
from hotswap_stream.application.trainers.protocol import (
    DatasetFile,
    TrainerFailed,
    TrainerFinished,
    TrainerLine,
    TrainerOrder,
    TrainerProgress,
    TrainerReady,
)
from hotswap_stream.errors import ConfigurationError

Parameters = dict[str, Any]
RANDOM = np.random.default_rng(1)


class Done(Struct):
    """What a run said."""

    lines: list[TrainerLine]

    @property
    def finished(self) -> TrainerFinished:
        assert isinstance(self.lines[-1], TrainerFinished), self.lines[-1]
        return self.lines[-1]

    @property
    def failed(self) -> TrainerFailed:
        assert isinstance(self.lines[-1], TrainerFailed), self.lines[-1]
        return self.lines[-1]


Run = Callable[..., Done]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    def run(trainer: str, parameters: Parameters | None = None, *datasets: bytes) -> Done:
        lines: list[TrainerLine] = []
        files = []
        for number, content in enumerate(datasets):
            path = tmp_path / f"data-{number}"
            path.write_bytes(content)
            files.append(DatasetFile(digest=f"sha256:{number}", path=str(path)))
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        order = TrainerOrder(
            run_id="r",
            model_name="m",
            trainer=trainer,
            parameters=parameters or {},
            datasets=tuple(files),
            folder=str(out),
            seconds_max=60,
            memory_bytes_max=1,
            folder_bytes_max=1,
        )
        well = run_trainer(order, lines.append, _no_conversion)
        assert well is isinstance(lines[-1], TrainerFinished)
        return Done(lines)

    yield run
    name_modules([])


def _no_conversion(*_what: Any) -> tuple[str, ModelOptions, dict[str, str]]:
    raise AssertionError("nothing is to be converted")


def dataset(**arrays: Any) -> bytes:
    return pack_set(labelled_set({name: np.asarray(array) for name, array in arrays.items()}))


def test_every_trainer_that_comes_along_has_parameters_with_defaults_but_for_what_must_be_said() -> None:
    assert set(BUILT_IN_PARAMETERS) == set(BUILT_IN_TRAINERS)
    said = {"sklearn": {"estimator": "ridge"}}
    for name in BUILT_IN_TRAINERS:
        assert wrong_parameters(name, said.get(name, {})) is None


@pytest.mark.parametrize(
    ("trainer", "parameters", "told"),
    [
        ("als", {"factors": 0}, "factors"),
        ("als", {"factors": "many"}, "factors"),
        ("als", {"fators": 8}, "fators"),
        ("image-classifier", {"learning_rate": -1.0}, "learning_rate"),
        ("forecaster", {"epochs": 10**9}, "epochs"),
        ("sklearn", {}, "estimator"),
        ("sklearn", {"estimator": "os.system"}, "os.system"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_anything_starts(
    run: Run, trainer: str, parameters: Parameters, told: str
) -> None:
    done = run(trainer, parameters)
    assert done.failed.cause == "not-possible"
    assert told in done.failed.detail
    assert len(done.lines) == 1


def test_a_trainer_that_is_not_there(run: Run) -> None:
    assert run("no-such-trainer").failed.cause == "not-possible"


def test_als_finds_planted_taste_and_is_the_same_each_time(run: Run, tmp_path: Path) -> None:
    done = run("als", {"factors": 8, "iterations": 3})
    assert isinstance(done.lines[0], TrainerReady)
    epochs = [line.epoch for line in done.lines if isinstance(line, TrainerProgress)]
    assert epochs == sorted(set(epochs), key=epochs.index)
    assert epochs[-1] == 3
    # Ten of 120 items by chance are 8 %.
    assert done.finished.metrics["hr_at_10"] > 0.3
    assert done.finished.profile is not None
    content = (tmp_path / "out" / "artifact.safetensors").read_bytes()
    assert read_manifest(content).arguments == {"users": 300, "items": 120, "dimensions": 8}
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == done.finished.metrics
    run("als", {"factors": 8, "iterations": 3})
    again = (tmp_path / "out" / "artifact.safetensors").read_bytes()
    assert digest_of_artifact(again) == digest_of_artifact(content)


def test_als_takes_a_dataset_of_chosen_items(run: Run) -> None:
    user, item = np.repeat(np.arange(20), 5), np.tile(np.arange(5), 20)
    assert run("als", {"iterations": 1}, dataset(user=user, labels=item)).finished.metrics["users"] == 20
    assert run("als", {}, dataset(user=user - 1, labels=item)).failed.cause == "bad-data"


def test_an_image_classifier_learns_any_shape_and_number_of_classes(run: Run, tmp_path: Path) -> None:
    labels = RANDOM.integers(0, 3, 240)
    images = RANDOM.normal(0, 0.1, (240, 2, 9, 6)).astype(np.float32) + labels[:, None, None, None]
    done = run("image-classifier", {"epochs": 6, "held_out": 0.25}, dataset(images=images, labels=labels))
    assert done.finished.metrics["accuracy"] > 0.9
    manifest = read_manifest((tmp_path / "out" / "artifact.safetensors").read_bytes())
    assert (manifest.inputs[0].shape, manifest.outputs[0].shape) == ((-1, 2, 9, 6), (-1, 3))
    matrix = json.loads((tmp_path / "out" / "confusion.json").read_text())["matrix"]
    assert np.sum(matrix) == 60


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": np.zeros((4, 3)), "labels": [0, 1, 0, 1]},
        {"images": np.zeros((4, 1, 8, 8)), "labels": [0, 0, 0, 0]},
        {"images": np.zeros((4, 1, 8, 8)), "labels": [-1, 0, 0, 0]},
        {"images": np.full((2, 1, 8, 8), np.nan), "labels": [0, 1]},
        {"history": np.zeros((2, 4)), "target": np.zeros(2)},
    ],
    ids=["no images", "one class", "a label below 0", "no numbers", "no labels"],
)
def test_data_that_are_no_images_are_bad_data(run: Run, arrays: Any) -> None:
    assert run("image-classifier", {"epochs": 1}, dataset(**arrays)).failed.cause == "bad-data"


def test_a_file_that_is_no_dataset_is_bad_data(run: Run) -> None:
    for content in (b"", b"\x80\x04N.", b"\xff" * 100, b"{}"):
        assert run("forecaster", {"epochs": 1}, content).failed.cause == "bad-data"


def test_the_forecaster_beats_the_last_value(run: Run) -> None:
    history = np.sin(np.arange(300)[:, None] * 0.3 + np.arange(24) * 0.3)[..., None]
    target = np.sin(np.arange(300)[:, None] * 0.3 + np.arange(24, 30) * 0.3)[..., None]
    done = run("forecaster", {"epochs": 10, "held_out": 0.2}, dataset(history=history, target=target))
    assert done.finished.metrics["held_out_mae"] < done.finished.metrics["held_out_mae_of_last_value"]


PLUGIN = """
import msgspec
from hotswap_stream.plugins import Trained, TrainingDataError, trainer

class Parameters(msgspec.Struct, forbid_unknown_fields=True):
    mode: str = "well"

@trainer("tried-here", Parameters)
def train(job, parameters):
    if parameters.mode == "bad-data":
        raise TrainingDataError("no rows")
    if parameters.mode == "crash":
        raise RuntimeError("out of luck")
    if parameters.mode == "nothing":
        return None
    for step in range(1000):
        job.progress(step, 1000, epoch=step // 500, loss=1.0)
    (job.folder / "artifact.safetensors").write_bytes(b"x")
    return Trained(model=job.folder / "artifact.safetensors", metrics={"loss": 1.0})
"""


def test_a_trainer_of_the_users_own(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_trainers.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    name_modules(["own_trainers"])
    done = run("tried-here")
    assert done.finished.artifact == "artifact.safetensors"
    progress = [line for line in done.lines if isinstance(line, TrainerProgress)]
    # What comes too fast is left out, but never the last of an epoch.
    assert len(progress) < 200
    assert {499, 999} <= {line.step for line in progress}
    assert run("tried-here", {"mode": "bad-data"}).failed == TrainerFailed(cause="bad-data", detail="no rows")
    assert run("tried-here", {"mode": "crash"}).failed.detail == "RuntimeError: out of luck"
    assert "a Trained is needed" in run("tried-here", {"mode": "nothing"}).failed.detail
    assert run("tried-here", {"mod": "x"}).failed.cause == "not-possible"


def test_commands_are_allowed_by_name() -> None:
    found = parse_trainer_commands("mine=python -m train --fast; other = sh 'a b.sh'")
    assert found == {"mine": ("python", "-m", "train", "--fast"), "other": ("sh", "a b.sh")}
    assert parse_trainer_commands(None) == {}
    for wrong in ("mine", "=x", "A=x", "als=x", "a=x;a=y", "a=", "a='x", "a b=x"):
        with pytest.raises(ConfigurationError, match="HOTSWAP_TRAINER_COMMANDS"):
            parse_trainer_commands(wrong)
