"""The wheel: what is in it, and what it says about itself."""

import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser

import pytest

from tests.support.checkout import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, ROOT],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    assert path.name.endswith("-py3-none-any.whl")
    return zipfile.ZipFile(path)


def _metadata(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (found for found in wheel.namelist() if found.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def _headers(wheel: zipfile.ZipFile) -> "Message[str, str]":
    return Parser().parsestr(_metadata(wheel, "METADATA"))


@pytest.mark.slow
def test_it_holds_both_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"hotswap_stream", "hotswap_events"}
    for package, folder in (("hotswap_stream", ROOT), ("hotswap_events", ROOT / "events")):
        modules = {str(path.relative_to(folder)) for path in (folder / package).rglob("*.py")}
        assert {name for name in wheel.namelist() if name.startswith(package) and name.endswith(".py")} == modules


@pytest.mark.slow
def test_both_packages_are_typed(wheel: zipfile.ZipFile) -> None:
    assert {"hotswap_stream/py.typed", "hotswap_events/py.typed"} <= set(wheel.namelist())


@pytest.mark.slow
def test_data_files_come_along(wheel: zipfile.ZipFile) -> None:
    data = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "hotswap_stream").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py"
    }
    assert data <= set(wheel.namelist())


@pytest.mark.slow
def test_it_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    headers = _headers(wheel)
    assert headers["Name"] == "hotswap-stream"
    assert headers["Version"] == project["version"]
    assert headers["Requires-Python"] == project["requires-python"]
    assert headers["License-Expression"] == "Apache-2.0"
    assert set(headers.get_all("Provides-Extra") or ()) == set(project["optional-dependencies"])
    assert headers.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert "hotswap-stream = hotswap_stream.cli:main" in _metadata(wheel, "entry_points.txt")
    assert _metadata(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_release_is_named_alike_everywhere() -> None:
    from hotswap_stream import __version__

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert __version__ == project["version"]
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
