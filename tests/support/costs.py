"""What each test costs in processor time: its own process, and all processes that it started, the broker too.

Time on the clock says less here, because several processes of the tests share the cores and tests also wait; it is
written beside. `make test-costs` runs the tests with this plugin, which prints the files that cost most and writes a
line of JSON for each test to `build/test-costs.jsonl`. It reads Linux's `/proc`.
"""

import json
import os
from collections import defaultdict
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import pytest

FILES_SHOWN = 60
LINES = Path("build/test-costs.jsonl")
COLLECTION = "(imports and collection)"

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def tree_seconds() -> float:
    """Return the processor seconds of this process and of all below it, those that have ended included."""
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system + sum(map(_seconds, _children("self")))


def _seconds(process: str) -> float:
    try:
        # The second field is a name in brackets, which may hold anything.
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0  # it ended: whoever waited for it has its seconds
    return sum(map(int, fields[11:15])) / _TICKS_PER_SECOND + sum(map(_seconds, _children(process)))


def _children(process: str) -> list[str]:
    found: list[str] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{process}/task"):
            with suppress(OSError):
                found += Path(f"/proc/{process}/task/{thread}/children").read_text().split()
    return found


class _Measured:
    """In each process that runs tests: a figure for each test, on the report of its end."""

    def __init__(self) -> None:
        self._last = 0.0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._last = tree_seconds()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["collected"] = self._last

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        report = yield
        if call.when == "teardown":
            now = tree_seconds()
            # A process that ended without being waited for takes its seconds along.
            report.processor_seconds = max(now - self._last, 0.0)
            self._last = now
        return report


class _Added:
    """In the process that prints: the figures of all."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lines: TextIO | None = None
        self._files: dict[str, float] = defaultdict(float)
        self._clock: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if hasattr(self._config, "workerinput"):
            return  # a fork of the process that prints
        self._clock[report.nodeid] += report.duration
        if not hasattr(report, "processor_seconds"):
            return
        if self._lines is None:
            LINES.parent.mkdir(exist_ok=True)
            self._lines = LINES.open("w", encoding="utf-8")
        self._files[report.nodeid.partition("::")[0]] += report.processor_seconds
        cost = {"seconds": round(report.processor_seconds, 3), "clock": round(self._clock.pop(report.nodeid), 3)}
        self._lines.write(json.dumps({"test": report.nodeid, **cost}) + "\n")
        self._lines.flush()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._files[COLLECTION] += getattr(node, "workeroutput", {}).get("collected", 0.0)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._lines is not None:
            self._lines.close()
        terminalreporter.section(f"{sum(self._files.values()):.0f} processor seconds")
        for name, seconds in sorted(self._files.items(), key=lambda each: -each[1])[:FILES_SHOWN]:
            terminalreporter.write_line(f"{seconds:8.1f}  {name}")


def pytest_configure(config: pytest.Config) -> None:
    """Measure where tests are run, add where results are printed; without pytest-xdist that is one process."""
    shared_out = bool(getattr(config.option, "numprocesses", None))
    if hasattr(config, "workerinput") or not shared_out:
        config.pluginmanager.register(_Measured())
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Added(config))
