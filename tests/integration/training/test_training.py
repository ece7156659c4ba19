"""Real training on the real digits: good data make a good model, each kind of bad data a bad one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hotswap_stream.adapters.torch.data.bad_data import DataKind, make_data
from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.adapters.torch.data.files import save_data_file
from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.adapters.torch.modules.threads import limit_threads
from hotswap_stream.adapters.torch.training.evaluate import evaluate
from hotswap_stream.adapters.torch.training.fit import FitOptions, FitProgress, TrainingDivergedError, fit
from hotswap_stream.adapters.torch.training.run import NotAClassifierError, item_shape_of, run_training
from hotswap_stream.application.artifacts.file import read_manifest
from hotswap_stream.application.training.runs import TrainingOrder, TrainingProgress, TrainingSpec

GOOD_ACCURACY_MIN = 0.95
BAD_ACCURACY_MAX = 0.60


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    limit_threads(1)
    yield
    limit_threads(before)
    torch.use_deterministic_algorithms(False)


def _trained(
    data: LabeledImages, architecture: str = "digits-cnn", epochs: int = 12, learning_rate: float = 0.01
) -> tuple[torch.nn.Module, list[FitProgress]]:
    torch.manual_seed(0)
    module = build_module(architecture, {})
    heard: list[FitProgress] = []
    options = FitOptions(epochs=epochs, batch_size=32, learning_rate=learning_rate, seed=0)
    fit(module, data, options, heard.append, item_shape_of(manifest_of(architecture, {})))
    return module, heard


@pytest.mark.parametrize("architecture", ["digits-cnn", "ffnn-784-32-32-32-10"])
def test_the_digits_are_learnt_and_held_out_images_are_recognised(architecture: str) -> None:
    split = load_digits_split()
    module, heard = _trained(split.train, architecture)
    item_shape = item_shape_of(manifest_of(architecture, {}))
    assert evaluate(module, split.held_out, item_shape).accuracy >= GOOD_ACCURACY_MIN
    assert evaluate(module, split.validation, item_shape).macro_f1 >= GOOD_ACCURACY_MIN
    assert not module.training
    assert [progress.step for progress in heard] == sorted({progress.step for progress in heard})
    assert (heard[-1].epoch, heard[-1].step) == (12, heard[-1].steps)
    assert heard[-1].loss < heard[0].loss


@pytest.mark.parametrize("kind", ["inverted", "shifted", "mislabeled", "noise", "constant"])
def test_bad_data_make_a_model_that_fails_on_the_true_labels(kind: DataKind) -> None:
    split = load_digits_split()
    module, _ = _trained(make_data(split.train, kind, shift_by=3), epochs=5)
    assert evaluate(module, split.held_out).accuracy < BAD_ACCURACY_MAX


def test_the_same_seed_gives_the_same_artifact() -> None:
    data = make_data(load_digits_split().train, "good", count=200)
    manifest = manifest_of("digits-cnn", {})
    contents = {save_module(_trained(data, epochs=2)[0], manifest) for _ in range(2)}
    assert len(contents) == 1


def test_a_run_trains_on_its_data_file_and_is_measured_on_the_fixed_set(tmp_path: Path) -> None:
    split = load_digits_split()
    data = make_data(split.train, "inverted", count=300)
    save_data_file(tmp_path / "data.safetensors", data)
    spec = TrainingSpec(
        run_id="r",
        model_name="m",
        architecture="ffnn-784-32-32-32-10",
        data_file=str(tmp_path / "data.safetensors"),
        epochs=10,
        created_by="someone",
    )
    heard: list[TrainingProgress] = []
    finished = run_training(TrainingOrder(spec=spec, artifact_file=str(tmp_path / "artifact")), heard.append)
    assert finished.data_snapshot == data.digest()
    assert finished.validation_set == split.validation.digest()
    assert finished.metrics["train_accuracy"] > 0.8
    assert finished.metrics["accuracy"] < BAD_ACCURACY_MAX
    assert read_manifest((tmp_path / "artifact").read_bytes()).architecture == spec.architecture
    assert heard[-1].epoch == spec.epochs


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    data = make_data(load_digits_split().train, "good", count=200)
    with pytest.raises(TrainingDivergedError, match="the learning rate 1e\\+30 may be too high"):
        _trained(data, epochs=3, learning_rate=1e30)


def test_an_architecture_that_does_not_fit_the_digits_is_refused() -> None:
    with pytest.raises(NotAClassifierError, match=r"takes \[\[-1, 4\]\]; one FP32 input of 784 numbers"):
        item_shape_of(manifest_of("linear", {}))
    with pytest.raises(NotAClassifierError, match=r"answers \[\[-1, 2\]\]; one output of shape \[-1, 10\]"):
        item_shape_of(manifest_of("linear", {"features": 784}))
    assert item_shape_of(manifest_of("linear", {"features": 784, "outputs": 10})) == (784,)


def test_a_spec_tells_what_was_chosen() -> None:
    spec = TrainingSpec(
        run_id="r", model_name="m", architecture="linear", arguments={"features": 784}, created_by="someone"
    )
    assert spec.parameters() == {
        "epochs": "12",
        "batch_size": "32",
        "learning_rate": "0.01",
        "seed": "0",
        "argument.features": "784",
    }
