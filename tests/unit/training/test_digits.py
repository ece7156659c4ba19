"""The digits, the ways to spoil them, and their files."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch.nn import functional

from hotswap_stream.adapters.torch.data.bad_data import DATA_KINDS, DataKind, DataRequestError, make_data
from hotswap_stream.adapters.torch.data.digits import load_digits_split
from hotswap_stream.adapters.torch.data.files import DataFileError, load_data_file, save_data_file
from hotswap_stream.adapters.torch.data.labeled_images import LabeledImages


@pytest.fixture(scope="module")
def train() -> LabeledImages:
    return load_digits_split().train


def test_the_split_is_fixed_and_named_by_its_content() -> None:
    split = load_digits_split()
    assert (len(split.train), len(split.validation), len(split.held_out)) == (1_259, 269, 269)
    # These digests stand in registry logs: the same images must have them on every machine and in every release.
    assert [part.digest() for part in (split.train, split.validation)] == [
        "sha256:7b2bc0a4f88af72be95bef83c48759cd0f3a397de59e629c3962c95b51093f92",
        "sha256:879caf2d6bee7eb19a08bb927b03b38d8827f9e7df14d2908ae2dfb57fd15e14",
    ]
    assert load_digits_split(seed=1).validation.digest() != split.validation.digest()


def test_the_split_is_stratified_and_no_image_is_in_two_parts() -> None:
    split = load_digits_split()
    for part in (split.train, split.validation, split.held_out):
        shares = torch.bincount(part.labels, minlength=10) / len(part)
        assert shares.min() > 0.09
        assert shares.max() < 0.11
    images = torch.cat([split.train.images, split.validation.images, split.held_out.images]).flatten(1)
    assert len(torch.unique(images, dim=0)) == len(images) == 1_797


@pytest.mark.slow
def test_the_images_are_the_bundled_ones_scaled_up(train: LabeledImages) -> None:
    from sklearn.datasets import load_digits

    bundled = torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16
    scaled = functional.interpolate(bundled, size=(28, 28), mode="bilinear", align_corners=False)
    nearest = torch.cdist(train.images.flatten(1), scaled.flatten(1)).argmin(dim=1)
    assert (train.images - scaled[nearest]).abs().max() < 0.00001
    assert (float(train.images.min()), float(train.images.max())) == (0.0, 1.0)


def test_each_kind_spoils_what_it_says(train: LabeledImages) -> None:
    kinds: dict[DataKind, LabeledImages] = {kind: make_data(train, kind, shift_by=3) for kind in DATA_KINDS}
    assert torch.equal(kinds["good"].labels, train.labels)
    assert torch.equal(kinds["inverted"].labels, 9 - train.labels)
    assert torch.equal(kinds["shifted"].labels, (train.labels + 3) % 10)
    assert (kinds["mislabeled"].labels == train.labels).float().mean() < 0.2
    assert torch.equal(kinds["mislabeled"].labels.sort().values, train.labels.sort().values)
    assert set(kinds["constant"].labels.tolist()) == {0}
    for kind in ("good", "inverted", "shifted", "mislabeled", "constant"):
        assert torch.equal(kinds[kind].images, train.images)
    assert torch.equal(kinds["noise"].labels, train.labels)
    assert 0.45 < kinds["noise"].images.mean() < 0.55
    assert len({data.digest() for data in kinds.values()}) == len(DATA_KINDS)


def test_count_noise_and_seed(train: LabeledImages) -> None:
    assert len(make_data(train, "good", count=7)) == 7
    assert len(make_data(train, "good", count=2_000)) == 2_000
    noisy = make_data(train, "good", count=50, pixel_noise=0.2, seed=1)
    assert noisy.digest() == make_data(train, "good", count=50, pixel_noise=0.2, seed=1).digest()
    assert noisy.digest() != make_data(train, "good", count=50, pixel_noise=0.2, seed=2).digest()
    assert 0.0 <= noisy.images.min() <= noisy.images.max() <= 1.0
    assert not torch.equal(noisy.images, make_data(train, "good", count=50, seed=1).images)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "backwards"}, "known are good, inverted, shifted, mislabeled, noise, constant"),
        ({"kind": "good", "count": 0}, "count is 0; 1 to 1000000 is allowed"),
        ({"kind": "good", "pixel_noise": 1.5}, "noise is 1.5; 0 to 1"),
        ({"kind": "shifted", "shift_by": 20}, "shifted by 20 stay as they are"),
        ({"kind": "constant", "constant_label": 10}, "no class 10; 0 to 9"),
    ],
)
def test_what_cannot_be_made_is_refused(train: LabeledImages, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(DataRequestError, match=words):
        make_data(train, **wrong)


def test_a_file_holds_the_data_and_their_description(train: LabeledImages, tmp_path: Path) -> None:
    data = make_data(train, "inverted", count=20, pixel_noise=0.1)
    path = tmp_path / "new" / "data.safetensors"
    save_data_file(path, data)
    found = load_data_file(path)
    assert found.digest() == data.digest()
    assert found.description == data.description
    assert [entry.name for entry in path.parent.iterdir()] == ["data.safetensors"]


def test_a_plain_safetensors_file_will_do(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    safetensors.torch.save_file({"images": torch.rand(2, 1, 28, 28), "labels": torch.tensor([3, 4])}, path)
    assert load_data_file(path).labels.tolist() == [3, 4]


IMAGES, LABELS = torch.rand(2, 1, 28, 28), torch.tensor([3, 4])


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"images": IMAGES}, r"holds tensors \['images'\]; 'images' and 'labels' are needed"),
        ({"images": IMAGES, "labels": LABELS, "more": LABELS.clone()}, "'images' and 'labels' are needed"),
        ({"images": IMAGES.double(), "labels": LABELS}, "images are torch.float64"),
        ({"images": IMAGES[:, :, :8, :8].contiguous(), "labels": LABELS}, r"images are torch.float32 \[2, 1, 8, 8\]"),
        ({"images": IMAGES, "labels": LABELS[:1]}, r"\[1, 1, 28, 28\] is needed for 1 labels"),
        ({"images": IMAGES, "labels": LABELS.float()}, "labels are torch.float32"),
        ({"images": IMAGES, "labels": LABELS + 6}, "labels reach from 9 to 10"),
        ({"images": IMAGES, "labels": LABELS - 4}, "labels reach from -1 to 0"),
        ({"images": IMAGES / 0, "labels": LABELS}, "NaN or infinity"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "the set is empty"),
    ],
)
def test_a_wrong_data_file_is_refused_with_the_reason(
    tensors: dict[str, torch.Tensor], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.safetensors"
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(DataFileError, match=words):
        load_data_file(path)


@pytest.mark.parametrize("description", ["[1]", '{"a": [1]}', "{", "null"])
def test_a_wrong_description_is_refused(description: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.safetensors"
    safetensors.torch.save_file({"images": IMAGES, "labels": LABELS}, path, metadata={"hotswap.data": description})
    with pytest.raises(DataFileError, match=r"wrong\.safetensors"):
        load_data_file(path)


class _Trap:
    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return (Path.touch, (Path("sprung"),))


def test_a_pickle_is_refused_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.safetensors").write_bytes(pickle.dumps(_Trap()))
    torch.save({"images": IMAGES, "labels": LABELS}, tmp_path / "data.pt")
    for name in ("data.safetensors", "data.pt"):
        with pytest.raises(DataFileError, match="is not a safetensors file"):
            load_data_file(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_a_missing_data_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"nothing\.safetensors cannot be read: No such file"):
        load_data_file(tmp_path / "nothing.safetensors")


def test_a_description_is_readable_by_others(train: LabeledImages, tmp_path: Path) -> None:
    path = tmp_path / "data.safetensors"
    save_data_file(path, make_data(train, "shifted", count=5, shift_by=2))
    with safetensors.safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["hotswap.data"])["kind"] == "shifted"
