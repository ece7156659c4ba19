"""Folders of this machine and what is fetched of them: below the roots, no links, no more than is allowed."""

import os
from pathlib import Path

import pytest

from hotswap_stream.adapters.mlflow.local_folder import LocalFolder
from hotswap_stream.application.artifacts.file import ArtifactFormatError
from hotswap_stream.application.artifacts.store import ArtifactTooLargeError
from hotswap_stream.application.mlflow.importing.folder import FILES_LISTED_MAX
from hotswap_stream.application.mlflow.importing.gathering import FetchLimits, Gathered, gathered
from hotswap_stream.application.mlflow.source import SourceRefusedError

ONNX = "flavors: {onnx: {data: model.onnx}}"
PICKLE = b"\x80\x05\x95\x10\x00\x00\x00\x00\x00\x00\x00."


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "models"
    (place / "cats").mkdir(parents=True)
    (place / "cats" / "MLmodel").write_text(ONNX)
    (place / "cats" / "model.onnx").write_bytes(b"\x08\x09graph")
    return place


async def fetched(path: Path | str, roots: list[Path] | None, tmp_path: Path, bytes_max: int = 10_000) -> Gathered:
    into = tmp_path / "into"
    into.mkdir()
    return await gathered(LocalFolder(str(path), roots), into, FetchLimits(bytes_max=bytes_max))


async def test_what_is_needed_is_fetched_and_nothing_else(root: Path, tmp_path: Path) -> None:
    (root / "cats" / "weights.data").write_bytes(b"w")
    (root / "cats" / "conda.yaml").write_text("{}")
    found = await fetched(root / "cats", [root], tmp_path)
    assert found.file.read_bytes() == b"\x08\x09graph"
    assert sorted(path.name for path in found.file.parent.iterdir()) == ["model.onnx", "weights.data"]


@pytest.mark.parametrize("path", ["/etc", "{root}/../../etc", "{root}/cats/../../secret", "{root}/link", "{root}/none"])
async def test_nothing_outside_the_roots_is_read_or_told_apart(path: str, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "MLmodel").write_text(ONNX)
    (root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(SourceRefusedError, match="is not there") as refused:
        await fetched(path.format(root=root), [root], tmp_path)
    assert "secret/" not in str(refused.value)


async def test_without_roots_the_api_reads_no_folder(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceRefusedError, match="HOTSWAP_MLFLOW_FILE_ROOTS"):
        await fetched(root / "cats", [], tmp_path)
    (await LocalFolder(str(root / "cats"), None).files())  # whoever runs the command reads their own


@pytest.mark.parametrize("kind", ["file link", "folder link", "pipe"])
async def test_links_and_what_is_no_file_are_refused(kind: str, root: Path, tmp_path: Path) -> None:
    place = root / "cats" / "weights.data"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/etc/passwd" if kind == "file link" else "/etc")
    with pytest.raises(SourceRefusedError, match=r"symbolic link|no plain file"):
        await fetched(root / "cats", [root], tmp_path)


async def test_a_file_that_became_a_link_meanwhile_is_not_followed(root: Path) -> None:
    folder = LocalFolder(str(root / "cats"), [root])
    assert "model.onnx" in await folder.files()
    (root / "cats" / "model.onnx").unlink()
    (root / "cats" / "model.onnx").symlink_to("/etc/passwd")
    with pytest.raises(SourceRefusedError, match="cannot be read"):
        _ = [piece async for piece in folder.read("model.onnx")]
    (root / "cats" / "inner").symlink_to("/etc")
    with pytest.raises(SourceRefusedError, match="not where it was"):
        _ = [piece async for piece in folder.read("inner/passwd")]
    with pytest.raises(SourceRefusedError, match="plain relative name"):
        _ = [piece async for piece in folder.read("../cats/MLmodel")]


async def test_there_are_limits_on_bytes_and_files(root: Path, tmp_path: Path) -> None:
    with (root / "cats" / "model.onnx").open("wb") as opened:
        opened.truncate(10 * 1024**4)  # takes no place on the disk, and would take all of ours
    with pytest.raises(ArtifactTooLargeError, match="HOTSWAP_ARTIFACT_BYTES_MAX"):
        await fetched(root / "cats", [root], tmp_path)
    (root / "many").mkdir()
    for index in range(FILES_LISTED_MAX + 1):
        (root / "many" / str(index)).touch()
    with pytest.raises(SourceRefusedError, match="files"):
        await LocalFolder(str(root / "many"), [root]).files()


@pytest.mark.parametrize(
    ("said", "file", "content", "says"),
    [
        (ONNX, "model.onnx", PICKLE, "is a pickle"),
        (ONNX, "model.onnx", b"", "is empty"),
        ("flavors: {xgboost: {data: m.ubj}}", "m.ubj", PICKLE, "is a pickle"),
        ("flavors: {xgboost: {data: m.ubj}}", "m.ubj", b"binf....", "not XGBoost's JSON or UBJSON"),
        ("flavors: {lightgbm: {data: m.lgb}}", "m.lgb", PICKLE, "is a pickle"),
        (
            "flavors: {sklearn: {pickled_model: m.skops, serialization_format: skops}}",
            "m.skops",
            PICKLE,
            "is a pickle",
        ),
        ("flavors: {pytorch: {model_data: .}}", "m", b"", "plain relative name"),
        ("flavors: {pytorch: {model_data: data}}", "data/model.pt2", b"PK\x03\x04 archive/data.pkl", "no exported"),
    ],
)
async def test_a_file_is_what_its_bytes_are(said: str, file: str, content: bytes, says: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / file).parent.mkdir(parents=True)
    (folder / "MLmodel").write_text(said)
    (folder / file).write_bytes(content)
    with pytest.raises((SourceRefusedError, ArtifactFormatError), match=says):
        await fetched(folder, None, tmp_path)


async def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x09")
    with pytest.raises(SourceRefusedError, match="holds no MLmodel"):
        await fetched(tmp_path, None, tmp_path)
