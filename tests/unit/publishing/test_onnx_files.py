"""Graphs that are there already, and files of every kind, by what they are and not by their names."""

import os
import pickle
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import onnx
import pytest

from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.client.publishing.errors import ExampleError, PublishError, UnsupportedModelError
from hotswap_stream.client.publishing.preparing import Prepared, prepared
from hotswap_stream.client.publishing.wishes import Wishes
from hotswap_stream.errors import HotswapError
from tests.support.samples.artifacts import linear_artifact
from tests.support.samples.graphs import linear, repeating, with_weights_beside

ROWS = np.arange(8).reshape(2, 4)


def published(model: Any, example: Any = None, **wishes: Any) -> tuple[Prepared, bytes]:
    with prepared(model, Wishes(example=example, **wishes)) as made:
        return made, made.file.read_bytes()


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A graph with its weights in a file beside it."""
    (tmp_path / "weights.bin").write_bytes(np.ones((4, 2), np.float32).tobytes())
    file = tmp_path / "model.onnx"
    file.write_bytes(with_weights_beside("weights.bin"))
    return file


@pytest.mark.parametrize("example", [None, ROWS, {"x": ROWS}, (ROWS,)], ids=["none", "array", "mapping", "tuple"])
def test_a_graph_stays_as_it_is(example: Any, tmp_path: Path) -> None:
    content = linear()
    file = tmp_path / "model.bin"
    file.write_bytes(content)
    for model in (content, bytearray(content), file, str(file)):
        made, found = published(model, example)
        assert found == content
        assert (made.comparison, made.beside) == (None, {})
        assert made.tags.keys() == {"framework", "framework_version"}
    made, found = published(onnx.load_model_from_string(content), example, labels=["a", "b"])
    assert onnx.load_model_from_string(found) == onnx.load_model_from_string(content)
    assert made.options.labels == ("a", "b")


def test_texts_go_in() -> None:
    published(repeating(), {"s": ["some", "words"]})


def test_weights_beside_a_graph_come_along(beside: Path) -> None:
    made, _ = published(beside, ROWS)
    assert {name: path.read_bytes() for name, path in made.beside.items()} == {
        "weights.bin": np.ones((4, 2), np.float32).tobytes()
    }
    with pytest.raises(UnsupportedModelError, match="hand in the path"):
        published(onnx.load_model(beside, load_external_data=False))


def test_what_belongs_to_a_model_comes_along(beside: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.json"
    words.write_text("[]")
    made, _ = published(beside, ROWS, beside={"words.json": words, "texts/more": str(words)})
    assert made.beside == {"weights.bin": tmp_path / "weights.bin", "words.json": words, "texts/more": words}
    for name, said in (("../up", "not valid"), ("model.onnx", "graph itself"), ("weights.bin", "with its weights")):
        with pytest.raises(HotswapError, match=said):
            published(beside, ROWS, beside={name: words})
    with pytest.raises(PublishError, match="is no file"):
        published(beside, ROWS, beside={"words.json": tmp_path / "missing"})
    (tmp_path / "artifact").write_bytes(linear_artifact())
    with pytest.raises(PublishError, match="nothing goes beside it"):
        published(tmp_path / "artifact", beside={"words.json": words})


def test_a_file_that_is_too_large_for_a_graph_is_not_even_read(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    with file.open("wb") as opened:
        opened.write(linear())
        opened.truncate(10 * 1024**3)  # takes no place on the disk
    with pytest.raises(UnsupportedModelError, match="at most 2147483647"):
        published(file)


@pytest.mark.parametrize(
    "compress", [*(("zlib", level) for level in (1, 3, 6, 9)), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3), 0]
)
def test_pickles_of_joblib_are_known_however_they_are_compressed(compress: Any, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    joblib.dump({"a": ROWS}, file, compress=compress)
    with pytest.raises(ArtifactFormatError, match="never opened"):
        published(file)


@pytest.mark.parametrize("place", ["missing.bin", "../weights.bin", "/etc/passwd", "link.bin"])
def test_weights_elsewhere_are_refused(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"0" * 32)
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    file = folder / "model.onnx"
    file.write_bytes(with_weights_beside(place))
    with pytest.raises(UnsupportedModelError, match=place):
        published(file)


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ({"y": ROWS}, r"inputs \['y'\]; the graph takes \['x'\]"),
        (ROWS[:, :3], "does not take the example"),
        ([["a"] * 4], r"no tensor\(float\)"),
    ],
    ids=["another name", "another shape", "texts"],
)
def test_an_example_that_does_not_fit_is_refused(example: Any, said: str) -> None:
    with pytest.raises(ExampleError, match=said):
        published(linear(), example)


def test_an_artifact_goes_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(linear_artifact())
    made, found = published(file)
    assert (made.file, found) == (file, linear_artifact())


class Evil:
    """Would leave a mark if it was ever unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps(Evil()), "never opened.*skl2onnx.*publish"),
        (b"", "empty"),
        (b"PK\x03\x04" + b"archive/data.pkl", "pickle inside"),
        (b"tree\nversion=v4", "hand the booster to publish"),
        (b"\x93NUMPY\x01\x00", "a numpy array"),
    ],
    ids=["pickle", "empty", "torch", "LightGBM", "array"],
)
def test_what_is_never_opened_is_refused_by_what_it_is(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    for model in (file, content):
        with pytest.raises(ArtifactFormatError, match=said):
            published(model, trust_file=True)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "said"),
    [(linear()[:60], "cannot be read as an ONNX graph"), (b"\x00" * 64, "cannot be read as an ONNX graph")],
    ids=["cut off", "zeros"],
)
def test_what_is_no_graph_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match=said):
        published(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"missing.onnx cannot be read: No such file"):
        published(tmp_path / "missing.onnx")
    with pytest.raises(PublishError, match="Is a directory"):
        published(tmp_path)
