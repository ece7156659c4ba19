"""Profiles of training data: the rows are those that live requests bring, and files are read with suspicion."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from hotswap_events.registry.profile import PROFILE_SKETCH_CHARACTERS_MAX
from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.adapters.torch.data.files import DataFileError, save_data_file
from hotswap_stream.adapters.torch.modules.architectures import build_module, manifest_of
from hotswap_stream.adapters.torch.training.profiling import profile_of, read_inputs
from hotswap_stream.application.artifacts.manifest import ArtifactManifest
from hotswap_stream.application.observations.row_sketches import PROFILE_ROWS_MAX
from hotswap_stream.application.observations.sketch import Sketch
from hotswap_stream.application.training.runs import DataProfile
from hotswap_stream.workers.inference.observing.input_sample import InputSample
from hotswap_stream.workers.inference.observing.tally import Tally

LINEAR = manifest_of("linear", {})
DIGITS = manifest_of("digits-cnn", {})
FORECASTER = manifest_of("forecaster", {"history": 4, "ahead": 2})
RECOMMENDER = manifest_of("recommender", {"users": 10, "items": 10})


def profiled(manifest: ArtifactManifest, *inputs: np.typing.NDArray[Any]) -> DataProfile:
    torch.manual_seed(0)
    module = build_module(manifest.architecture, manifest.arguments).eval()
    return profile_of(module, manifest, inputs, source="a week", where="file.npy")


def values_of(sketch: str) -> list[float]:
    return Sketch(sketch).points()


@given(
    st.sampled_from(((1,), (4,), (8, 4), (3, 11), (1, 28, 28), (40, 40))),
    st.integers(1, 60),
    st.integers(0, 1_000),
)
def test_a_live_sample_of_the_same_rows_has_the_same_sketches(shape: tuple[int, ...], count: int, seed: int) -> None:
    """Row by row as requests bring them, against all at once: the same names, counts and values."""
    rows = np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
    manifest = manifest_of("linear", {"features": int(np.prod(shape)), "outputs": 3})
    profile = profiled(manifest, rows.reshape(count, -1))
    sample = InputSample()
    for row in rows:
        sample.offer(row[np.newaxis])
    live = dict(sample.sketches("input", 4))
    assert set(live) == set(profile.sketches) - {"score"}
    for name, sketch in live.items():
        assert sketch.n == Sketch(profile.sketches[name]).count == count
        assert sketch.get_quantiles([0.0, 0.5, 1.0]) == pytest.approx(
            Sketch(profile.sketches[name]).quantiles([0.0, 0.5, 1.0]), abs=1e-5
        )


def test_scores_are_those_of_the_observations() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    torch.manual_seed(0)
    module = build_module("linear", {}).eval()
    with torch.inference_mode():
        outputs = module(torch.from_numpy(rows)).numpy()
    tally = Tally(None)
    tally.add_outputs(outputs, len(rows))
    tally.fold()
    assert values_of(profiled(LINEAR, rows).sketches["score"]) == pytest.approx(sorted(outputs.max(axis=1)), abs=1e-6)
    assert tally._score_sketch.n == 50


def test_a_profile_fits_into_its_event() -> None:
    rows = np.random.default_rng(1).normal(size=(PROFILE_ROWS_MAX * 2 + 1, 4))
    profile = profiled(LINEAR, rows.astype(np.float32))
    assert profile.rows == -(-len(rows) // 3)
    assert set(profile.sketches) == {"input", "input.0", "input.1", "input.2", "input.3", "score"}
    assert max(map(len, profile.sketches.values())) < PROFILE_SKETCH_CHARACTERS_MAX


class TestReadInputs:
    def test_the_data_files_of_training(self, tmp_path: Path) -> None:
        data = load_digits_split().validation
        save_data_file(tmp_path / "digits.safetensors", data)
        for manifest, shape in ((DIGITS, (1, 28, 28)), (manifest_of("ffnn-784-32-32-32-10", {}), (784,))):
            (images,) = read_inputs(tmp_path / "digits.safetensors", manifest)
            assert images.shape == (len(data), *shape)
            assert np.array_equal(images.reshape(-1), data.images.numpy().reshape(-1))

    def test_an_array_of_another_width_of_number(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.arange(8.0).reshape(2, 4))
        (found,) = read_inputs(tmp_path / "x.npy", LINEAR)
        assert found.dtype == np.float32
        assert found.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]

    def test_a_series_gives_its_windows(self, tmp_path: Path) -> None:
        """As live: each request brings a step, and the model sees the window behind it."""
        np.save(tmp_path / "series.npy", np.arange(6, dtype=np.float32))
        (windows,) = read_inputs(tmp_path / "series.npy", FORECASTER)
        assert windows[:, :, 0].tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5]]
        profile = profiled(FORECASTER, windows)
        assert values_of(profile.sketches["input"]) == [1.5, 2.5, 3.5]
        np.save(tmp_path / "series.npy", np.arange(24, dtype=np.float32).reshape(6, 4, 1))
        assert read_inputs(tmp_path / "series.npy", FORECASTER)[0].shape == (6, 4, 1)

    def test_inputs_by_name(self, tmp_path: Path) -> None:
        ids = np.array([[1, 2], [3, 4]], np.int64)
        safetensors.numpy.save_file({"ids": ids, "other": ids}, tmp_path / "x.safetensors")
        assert read_inputs(tmp_path / "x.safetensors", RECOMMENDER)[0].tolist() == ids.tolist()

    @pytest.mark.parametrize(
        ("manifest", "array", "words"),
        [
            (LINEAR, np.zeros((3, 5), np.float32), r"shape \[3, 5\]; \[-1, 4\] is needed"),
            (LINEAR, np.array(["a"]), "FP32 is needed"),
            (LINEAR, np.float32(1.0), "shape"),
            (RECOMMENDER, np.zeros((3, 2)), "float64; INT64 is needed"),
            (FORECASTER, np.zeros(3, np.float32), "a series of 4 or more steps"),
            (FORECASTER, np.zeros((9, 2), np.float32), "shape"),
        ],
    )
    def test_what_does_not_fit(self, tmp_path: Path, manifest: ArtifactManifest, array: Any, words: str) -> None:
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(DataFileError, match=words):
            read_inputs(tmp_path / "x.npy", manifest)

    def test_no_pickle(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.array([{"a": 1}]), allow_pickle=True)
        with pytest.raises(DataFileError, match=r"not a \.npy file of numbers"):
            read_inputs(tmp_path / "x.npy", LINEAR)

    @pytest.mark.parametrize("name", ["x.npy", "x.safetensors", "x.pkl", "missing.npy"])
    def test_what_is_no_data_file(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "x.npy").write_bytes(b"x")
        (tmp_path / "x.safetensors").write_bytes(b"x" * 20)
        (tmp_path / "x.pkl").write_bytes(b"x")
        with pytest.raises(DataFileError, match="data file"):
            read_inputs(tmp_path / name, LINEAR)

    def test_tensors_of_other_names(self, tmp_path: Path) -> None:
        zeros = np.zeros((2, 4), np.float32)
        safetensors.numpy.save_file({"a": zeros, "b": zeros}, tmp_path / "x.safetensors")
        with pytest.raises(DataFileError, match=r"holds tensors \['a', 'b'\]; \['x'\] are needed"):
            read_inputs(tmp_path / "x.safetensors", LINEAR)


@pytest.mark.parametrize(
    ("manifest", "array", "words"),
    [
        (LINEAR, np.full((2, 4), np.nan, np.float32), "NaN or infinity"),
        (LINEAR, np.zeros((0, 4), np.float32), "has no rows"),
        (RECOMMENDER, np.full((2, 2), 99), "file.npy, rows from 0: 'recommender' cannot answer them"),
    ],
)
def test_rows_that_the_version_cannot_answer(manifest: ArtifactManifest, array: Any, words: str) -> None:
    with pytest.raises(DataFileError, match=words):
        profiled(manifest, array)
