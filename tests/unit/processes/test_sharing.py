"""Tests that several forked processes share: everything is run, and everything is said."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.sharing import SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked here")

ENDS = """
import os
import sys

import pytest


def test_before(): pass


def test_ends_its_process():
    os._exit(7)


def test_after(tmp_path):
    assert os.environ["IMPORTED_BY"] != str(os.getpid())
    assert tmp_path.is_dir()
"""

FAILS = """
import pytest


@pytest.fixture(scope="module")
def held():
    yield 1
    print("given back")


def test_passes(held): pass


def test_fails(held):
    print("so it was")
    assert held == 2


@pytest.mark.skip(reason="not today")
def test_skipped(): pass


def test_parts(subtests):
    with subtests.test("one of several"):
        assert False


def test_fixture(absent): pass
"""

CONFTEST = """
import os

os.environ["IMPORTED_BY"] = str(os.getpid())
"""


def shared(folder: Path, *options: str, **files: str) -> "subprocess.CompletedProcess[str]":
    """Run these files, shared by two processes."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in {"conftest": CONFTEST, **files}.items():
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-c", str(folder / "pytest.ini"), "-q", "-rfEs", "--share", "2"]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": f"{ROOT}:{ROOT / 'events'}",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": "tests.support.sharing",
    }
    return subprocess.run(
        [*command, *options, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, timeout=20
    )


def test_all_is_run_and_said(tmp_path: Path) -> None:
    done = shared(tmp_path, test_ends=ENDS, test_fails=FAILS, test_more="def test_more(): pass\n")
    said = done.stdout.splitlines()
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert said[-1].startswith("3 failed, 5 passed, 1 skipped, 1 error in "), done.stdout
    failed = {line.partition(" - ")[0] for line in said if line.startswith(("FAILED ", "SUBFAILED"))}
    assert {name.partition("::")[2] for name in failed} == {"test_ends_its_process", "test_fails", "test_parts"}
    assert any(
        line.startswith("FAILED test_ends.py::test_ends_its_process - its process ended with 7") for line in said
    )
    assert any(line.startswith("ERROR test_fails.py::test_fixture") for line in said)
    assert any("not today" in line for line in said)
    assert "so it was" in said


def test_what_all_took_is_known_to_the_next_run(tmp_path: Path) -> None:
    done = shared(tmp_path, test_one="def test_one(): pass\n", test_two="def test_two(): pass\n")
    assert done.returncode == pytest.ExitCode.OK, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("2 passed in ")
    known = json.loads((tmp_path / ".pytest_cache/v" / SECONDS).read_text())
    assert set(known) == {"test_one.py", "test_two.py"}


@pytest.mark.parametrize(
    ("options", "test", "status"),
    [
        (("-x",), "assert False", pytest.ExitCode.TESTS_FAILED),
        ((), "import pytest; pytest.exit('no more')", pytest.ExitCode.INTERRUPTED),
        ((), "raise KeyboardInterrupt", pytest.ExitCode.INTERRUPTED),
    ],
)
def test_it_ends_early_when_told(tmp_path: Path, options: tuple[str, ...], test: str, status: pytest.ExitCode) -> None:
    """The other process would wait for two minutes in each of its tests."""
    waits = "import time\n\n\ndef test_waits():\n    time.sleep(0.5)\n\n\ndef test_never(): assert False, 'begun'\n"
    done = shared(tmp_path, *options, test_first=f"def test_first():\n    {test}\n", test_waits=waits)
    assert done.returncode == status, done.stdout + done.stderr
    assert "begun" not in done.stdout
