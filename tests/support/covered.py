"""Which lines and branches of the domain and the application the tests take: `make test` prints the numbers.

Tracing doubles what a test costs that computes in Python. So unit tests are traced alone, without those that need a
broker, take seconds, or are tried many times by Hypothesis, and imports in one process: a few hundredths of the whole
run. What the processes of the product do that a test starts is not counted. `make coverage` traces all tests and all
packages, and prints which lines are missing.

What each process found comes to the one that prints as bytes, beside the results of its tests: there are no files to
combine. The whole is left in `build/coverage.json`. Nothing here makes a run fail: where the figures cannot be had, a
line says why.
"""

import json
import os
from collections.abc import Generator, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import coverage
import pytest

PACKAGES = "hotswap_stream/domain,hotswap_stream/application"
UNIT_TESTS = "unit"
"""Their folder."""
NOT_TRACED = ("broker", "slow")
"""Markers."""

_TRACES_IMPORTS = (None, "gw0")
"""Names of processes. The others import the same, and what one of them found is found."""


def measuring(packages: tuple[str, ...]) -> coverage.Coverage:
    """Return what measures these packages, and keeps what it finds in memory."""
    made = coverage.Coverage(data_file=None, source=list(packages))
    # It starts with each test, and would look each time through all modules for those that were there before.
    made._warn_preimported_source = False
    made._warn_unimported_source = False
    made._warn_no_data = False
    return made


def _is_traced(item: pytest.Item) -> bool:
    unit = UNIT_TESTS in item.path.parts
    tried_often = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return unit and not tried_often and not any(item.get_closest_marker(name) for name in NOT_TRACED)


class Tracing:
    """In each process that runs tests."""

    def __init__(self, packages: tuple[str, ...], *, imports: bool, all_tests: bool) -> None:
        self._measuring = measuring(packages)
        self._all_tests = all_tests
        self._on = False
        if imports:
            self._start()

    def _start(self) -> None:
        self._measuring.start()
        self._on = True

    def _stop(self) -> None:
        if self._on:
            self._measuring.stop()
        self._on = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        self._stop()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        if self._all_tests or _is_traced(item):
            self._start()
        try:
            return (yield)
        finally:
            self._stop()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._stop()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["covered"] = self.found()

    def found(self) -> bytes:
        """Return which lines and branches were taken, as `Figures.add` reads it."""
        try:
            return self._measuring.get_data().dumps()
        except Exception:  # noqa: BLE001  (the tests are over, and no figure is worth a failed run)
            return b""


class Figures:
    """In the process that prints: what all processes found together."""

    def __init__(
        self, packages: tuple[str, ...], report: Path, *, by_all: bool = False, own: Tracing | None = None
    ) -> None:
        self._packages = packages
        self._report = report
        self._by_all = by_all
        self._own = own
        self._found: list[bytes] = []
        self._lost: list[str] = []

    def add(self, process: str, found: bytes) -> None:
        """Add what one process found; nothing, if it ended without a word."""
        if found:
            self._found.append(found)
        else:
            self._lost.append(process)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.add(node.gateway.id, getattr(node, "workeroutput", {}).get("covered", b""))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._own is not None:
            self.add("this process", self._own.found())
        terminalreporter.section("taken by all tests" if self._by_all else "taken by unit tests")
        for process in self._lost:
            terminalreporter.write_line(f"without what {process} found: it did not end by itself")
        try:
            for line in self.lines():
                terminalreporter.write_line(line)
        except Exception as error:  # noqa: BLE001  (as above)
            terminalreporter.write_line(f"not known: {error!r}")

    def lines(self) -> Iterator[str]:
        """Return the figures for people, and write all to `REPORT`."""
        together = measuring(self._packages)
        for found in self._found:
            part = coverage.CoverageData(no_disk=True)
            part.loads(found)
            together.get_data().update(part)
        self._report.parent.mkdir(exist_ok=True)
        together.json_report(outfile=str(self._report))
        files = json.loads(self._report.read_text(encoding="utf-8"))["files"]
        if self._by_all:
            listed = StringIO()
            together.report(file=listed, show_missing=True)
            yield from listed.getvalue().splitlines()
        for package in self._packages:
            yield _totals(package, [file["summary"] for name, file in files.items() if name.startswith(f"{package}/")])
        yield f"{self._report} says which were not; why: docs/explanation/what-the-tests-leave-out.md"


def _totals(package: str, summaries: list[dict[str, int]]) -> str:
    parts = []
    for what, taken, all_there in (
        ("lines", "covered_lines", "num_statements"),
        ("branches", "covered_branches", "num_branches"),
    ):
        there = sum(summary[all_there] for summary in summaries)
        took = sum(summary[taken] for summary in summaries)
        parts.append(f"{took / max(there, 1):7.1%} of {there:,} {what}")
    return f"{package:27}" + "".join(parts)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--covered", default=PACKAGES, help="folders of the packages to trace, with commas")
    parser.addoption("--covered-by-all", action="store_true", help="trace all tests; list what is missing")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin before anything of the product is imported. Processes that pytest-xdist starts come here, too."""
    options = early_config.known_args_namespace
    packages, by_all = tuple(options.covered.split(",")), options.covered_by_all
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    own = None
    if worker is not None or not getattr(options, "numprocesses", None):
        own = Tracing(packages, imports=worker in _TRACES_IMPORTS, all_tests=by_all)
        early_config.pluginmanager.register(own)
    if worker is None:
        early_config.pluginmanager.register(
            Figures(packages, early_config.rootpath / "build/coverage.json", by_all=by_all, own=own)
        )
