"""What `make test` prints of the lines and branches that its tests take."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.covered import Figures

PACKAGE = "hotswap_stream/domain/versions"
TESTS = """
import pytest

from hotswap_stream.domain.versions.sketch_bytes import wrong_sketch


def test_traced():
    assert wrong_sketch("?") is not None


@pytest.mark.broker
def test_not_traced():
    assert wrong_sketch("AAAA") is not None
"""


@pytest.mark.slow
def test_lines_of_tests_that_need_no_broker_are_counted(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = broker\n")
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "test_sample.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-c", str(tmp_path / "pytest.ini"), "-p", "no:cacheprovider"]
    command += ["-p", "xdist", "--numprocesses", "2", "-p", "tests.support.covered", "--covered", PACKAGE]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": f"{ROOT}:{ROOT / 'events'}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "2 passed" in lines[-1]
    [figures] = [line for line in lines if line.startswith(PACKAGE)]
    assert 0.0 < float(figures.split()[1].rstrip("%")) < 100.0
    report = json.loads((tmp_path / "build/coverage.json").read_text())
    file = report["files"][f"{PACKAGE}/sketch_bytes.py"]
    source = (ROOT / PACKAGE / "sketch_bytes.py").read_text(encoding="utf-8").splitlines()
    taken = {source[number - 1].strip() for number in file["executed_lines"]}
    assert "def wrong_sketch(encoded: str) -> str | None:" in taken, "what runs when a module is imported"
    assert 'return "not base64"' in taken
    assert 'return f"{len(content)} bytes; a KLL sketch has 8 or more"' not in taken, (
        "what needs a broker is not traced"
    )


class Terminal:
    """What is printed at the end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines.append(title)

    def write_line(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize("found", [(), (b"no data",)], ids=["nothing", "garbled"])
def test_what_cannot_be_had_is_said(tmp_path: Path, found: tuple[bytes, ...]) -> None:
    figures, terminal = Figures((PACKAGE,), tmp_path / "build/coverage.json"), Terminal()
    figures.add("gw1", b"")
    for each in found:
        figures.add("gw2", each)
    figures.pytest_terminal_summary(terminal)
    [_title, lost, unknown] = terminal.lines
    assert "gw1" in lost
    assert unknown.startswith("not known: ")
