"""Validation sets in files: what is read, and every way in which a file can be none. Nothing is unpickled."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file

from hotswap_stream.adapters.evaluation.set_artifacts import pack_set, unpack_set
from hotswap_stream.adapters.evaluation.set_files import is_set_artifact, read_set_file
from hotswap_stream.application.artifacts.file import digest_of_artifact, pack_artifact, read_manifest
from hotswap_stream.application.training.validation_sets import ValidationSetError, set_facts

BYTES_MAX = 1_000_000
FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)


def npz(path: Path, **arrays: npt.ArrayLike) -> Path:
    found: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(path, **found)
    return path


def test_numbers_and_texts_come_back_as_they_were(tmp_path: Path) -> None:
    file = npz(tmp_path / "set.npz", x=FEATURES, words=np.array([["a"], ["b ü"], [""]]), labels=[0, 1, 2])
    read = read_set_file(file, bytes_max=BYTES_MAX)
    content = pack_set(read)
    again = unpack_set(content)
    assert again.facts == read.facts == set_facts(read_manifest(content))
    assert (again.facts.kind, len(again)) == ("classification", 3)
    assert again.inputs["x"].tolist() == FEATURES.tolist()
    assert again.inputs["x"].dtype == np.float32
    assert again.inputs["words"].tolist() == [["a"], ["b ü"], [""]]
    assert again.truths["labels"].tolist() == [0, 1, 2]
    assert digest_of_artifact(pack_set(again)) == digest_of_artifact(content)


def test_the_same_arrays_have_the_same_digest_in_either_format(tmp_path: Path) -> None:
    labels = np.array([1.5, 2.0, 3.0])
    save_file({"x": FEATURES, "target": labels}, tmp_path / "set.safetensors")
    one = read_set_file(tmp_path / "set.safetensors", bytes_max=BYTES_MAX)
    other = read_set_file(npz(tmp_path / "set.npz", target=labels, x=FEATURES), bytes_max=BYTES_MAX)
    assert one.facts.kind == "regression"
    assert pack_set(one) == pack_set(other)


def test_arrays_in_fortran_order_and_big_endian(tmp_path: Path) -> None:
    file = npz(tmp_path / "set.npz", x=np.asfortranarray(FEATURES.astype(">f4")), target=[1, 2, 3])
    read = read_set_file(file, bytes_max=BYTES_MAX)
    assert unpack_set(pack_set(read)).inputs["x"].tolist() == FEATURES.tolist()


def test_a_packed_set_is_told_from_a_file_of_arrays(tmp_path: Path) -> None:
    content = pack_set(read_set_file(npz(tmp_path / "set.npz", x=FEATURES, labels=[0, 1, 1]), bytes_max=BYTES_MAX))
    (tmp_path / "packed.safetensors").write_bytes(content)
    assert is_set_artifact(tmp_path / "packed.safetensors", bytes_max=BYTES_MAX)
    assert not is_set_artifact(tmp_path / "set.npz", bytes_max=BYTES_MAX)


@pytest.mark.parametrize(
    ("arrays", "kind", "words"),
    [
        ({"x": FEATURES}, None, "one named 'labels'"),
        ({"labels": [0, 1, 1]}, None, "nothing that goes into the model"),
        ({"x": FEATURES, "labels": [0, 1]}, None, "differ in their number of rows"),
        ({"x": FEATURES[:0], "labels": np.zeros(0, int)}, None, "is empty"),
        ({"x": FEATURES[:, :0], "labels": [0, 1, 2]}, None, "without any element"),
        ({"x": 1.0, "labels": [0]}, None, "has 0 dimensions"),
        ({"x": FEATURES, "labels": [0.5, 1, 1]}, None, "holds fractions"),
        ({"x": FEATURES, "labels": np.eye(3, dtype=int)}, None, "one label a row"),
        ({"x": FEATURES, "target": [0.5, np.nan, np.inf]}, None, "2 values that are NaN"),
        ({"x": FEATURES, "target": ["a", "b", "c"]}, None, "holds texts"),
        ({"x": FEATURES, "target": [1, 2, 3]}, "classification", "needs an array named 'labels'"),
        ({"x": FEATURES, "relevance": [1, 2, 3]}, None, r"shape \[rows, items\]"),
        ({"x": FEATURES, "target": FEATURES, "scale": [1, 0, 1]}, "forecasting", "above 0"),
        ({"x": FEATURES.astype(complex), "labels": [0, 1, 1]}, None, "complex"),
        ({"x\n": FEATURES, "labels": [0, 1, 1]}, None, "printable"),
    ],
)
def test_arrays_that_are_no_set(tmp_path: Path, arrays: dict[str, Any], kind: str | None, words: str) -> None:
    with pytest.raises(ValidationSetError, match=words):
        pack_set(read_set_file(npz(tmp_path / "set.npz", **arrays), bytes_max=BYTES_MAX, kind=kind))


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        raise AssertionError("it was unpickled")


def _with_member(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def _npy(header: str, data: bytes = b"") -> bytes:
    padded = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


def test_a_pickle_inside_is_never_opened(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValidationSetError, match="would have to be unpickled"):
        read_set_file(_with_member(tmp_path / "set.npz", "labels.npy", stream.getvalue()), bytes_max=BYTES_MAX)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1250000000,), }"), "claims shape"),
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }"), "claims shape|cannot be read"),
        (_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", b"\0" * 8), "8 bytes are there"),
        (_npy("{'descr': '|V8', 'fortran_order': False, 'shape': (1,), }", b"\0" * 8), "numbers, truth values or"),
        (_npy("__import__('os').system('false')"), "cannot be read"),
        (_npy("{" * 5_000), "cannot be read"),
        (b"\x93NUMPY\x09\x00rest", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_hostile_arrays(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ValidationSetError, match=words):
        read_set_file(_with_member(tmp_path / "set.npz", "labels.npy", content), bytes_max=BYTES_MAX)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = npz(tmp_path / "set.npz", x=np.zeros((1, 50_000_000), np.int8), labels=[0])
    assert bomb.stat().st_size < BYTES_MAX
    with pytest.raises(ValidationSetError, match="unpacked, the set has 5"):
        read_set_file(bomb, bytes_max=BYTES_MAX)


def test_a_zip_that_lies_about_its_size(tmp_path: Path) -> None:
    bomb = npz(tmp_path / "set.npz", labels=np.zeros(50_000_000, np.int8))
    size = zipfile.ZipFile(bomb).infolist()[0].file_size
    content = bomb.read_bytes().replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little"))
    bomb.write_bytes(content)
    with pytest.raises(ValidationSetError, match=r"cannot be unpacked|bytes are there"):
        read_set_file(bomb, bytes_max=BYTES_MAX)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "neither .npz nor .safetensors"),
        (b"\x80\x04\x95pickled bytes", "neither .npz nor .safetensors"),
        (b"PAR1" + b"\0" * 20, "Parquet"),
        (b"PK\x03\x04 and then nothing", "cannot be unpacked"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x00{}", "claims a header"),
        (b"x" * (BYTES_MAX + 1), "bytes; at most"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(content)
    with pytest.raises(ValidationSetError, match=words):
        read_set_file(path, bytes_max=BYTES_MAX)


def test_a_member_that_is_no_array(tmp_path: Path) -> None:
    with pytest.raises(ValidationSetError, match="no array"):
        read_set_file(_with_member(tmp_path / "set.npz", "../../evil.sh", b"x"), bytes_max=BYTES_MAX)


def test_an_artifact_whose_arrays_are_not_those_of_its_manifest(tmp_path: Path) -> None:
    read = read_set_file(npz(tmp_path / "set.npz", x=FEATURES, labels=[0, 1, 1]), bytes_max=BYTES_MAX)
    manifest = read_manifest(pack_set(read))
    save_file({"x": FEATURES[:2], "labels": np.array([0, 1])}, tmp_path / "other.safetensors")
    with pytest.raises(ValidationSetError, match="its manifest says"):
        unpack_set(pack_artifact(manifest, (tmp_path / "other.safetensors").read_bytes()))
    save_file({"x": FEATURES}, tmp_path / "less.safetensors")
    with pytest.raises(ValidationSetError, match="its manifest names"):
        unpack_set(pack_artifact(manifest, (tmp_path / "less.safetensors").read_bytes()))
