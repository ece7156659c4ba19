"""The page's files: only those of its folder, with what keeps others' code out."""

import gzip
import os
from pathlib import Path

import pytest

from hotswap_stream.api.page.assets import ASSET_BYTES_MAX, AssetFolder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "assets"
    found.mkdir()
    (tmp_path / "secret.js").write_text("secret")
    (found / "index.html").write_text("<!doctype html>" + "x" * 1_000)
    (found / "main-ABCD2345.js").write_text("1;" * 500)
    return found


def test_a_file_is_found_with_its_type_and_zipped_once(folder: Path) -> None:
    assets = AssetFolder(folder)
    index, main = assets.find("index.html"), assets.find("main-ABCD2345.js")
    assert index is not None
    assert main is not None
    assert (index.media_type, index.forever) == ("text/html; charset=utf-8", False)
    assert (main.media_type, main.forever) == ("text/javascript; charset=utf-8", True)
    assert main.zipped is not None
    assert gzip.decompress(main.zipped) == main.body
    assert assets.find("main-ABCD2345.js") is main


def test_a_file_that_is_built_anew_is_read_anew(folder: Path) -> None:
    assets = AssetFolder(folder)
    before = assets.find("index.html")
    (folder / "index.html").write_text("<!doctype html>new")
    after = assets.find("index.html")
    assert before is not None
    assert after is not None
    assert after.body == b"<!doctype html>new"
    assert after.etag != before.etag


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret.js",
        "..%2fsecret.js",
        "/etc/passwd",
        "sub/x.js",
        "\\..\\secret.js",
        "main-ABCD2345.js\x00.css",
        "missing.js",
        ".hidden.js",
        "main-ABCD2345.py",
        "x" * 300 + ".js",
        "é.js",
        "index.html\n",
    ],
)
def test_nothing_else_is_found(folder: Path, name: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "x.js").write_text("x")
    (folder / ".hidden.js").write_text("x")
    (folder / "main-ABCD2345.py").write_text("x")
    assert AssetFolder(folder).find(name) is None


def test_neither_links_nor_pipes_nor_folders_nor_what_is_too_large_are_found(folder: Path) -> None:
    (folder / "link.js").symlink_to(folder.parent / "secret.js")
    (folder / "folder.js").mkdir()
    os.mkfifo(folder / "pipe.js")
    with (folder / "large.js").open("wb") as file:
        file.truncate(ASSET_BYTES_MAX + 1)
    for name in ("link.js", "folder.js", "large.js"):
        assert AssetFolder(folder).find(name) is None
    assert AssetFolder(folder).find("pipe.js") is None


def test_without_a_folder_there_is_nothing(tmp_path: Path) -> None:
    assert AssetFolder(tmp_path / "missing").find("index.html") is None
