"""Shares the tests of a run out among processes that are forked once all is imported: `--share N`.

To import what the tests need takes longer than most of their files do: torch, scikit-learn, Litestar, Faust. Each
process that pytest-xdist starts imports all that, and collects all tests. Here one process does so, and forks: what it
imported is there in each fork, and takes no memory a second time. A process takes one file at a time, the longest first
(by what they took the last time, in pytest's cache), and more processes than there are cores make use of the time in
which tests wait. What they report comes to the process that forked them, which prints, counts and decides about the
exit status as if it had run them itself.

A test that ends its process has failed; the rest of its file goes to a new process. Where nothing can be forked, the
tests run in one process, as without this plugin.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

SECONDS = "sharing/seconds"
"""In pytest's cache: what each file took."""

END_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.02


class _Begun(NamedTuple):
    """A test begins."""

    place: int
    """Among all."""


class _Reported(NamedTuple):
    """A part of a test has ended."""

    report: dict[str, Any]


class _Wanted(NamedTuple):
    """The process would take more tests."""


class _Broken(NamedTuple):
    """The process ends, and not because there is no more to do."""

    reason: str


class _Process:
    """One that was forked, as the one that forked it sees it."""

    def __init__(self, pid: int, connection: "Connection[Any, Any]") -> None:
        self.pid = pid
        self.connection = connection
        self.left: list[int] = []
        """Tests that were given to it and have not begun."""
        self.running: int | None = None


class Sharing:
    """In the process that forks: hands files out, and passes on what is reported."""

    def __init__(self, processes: int) -> None:
        self._processes_max = processes
        self._processes: list[_Process] = []
        self._forks = 0
        self._files: deque[list[int]] = deque()
        self._seconds: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run all tests; None: whoever runs them otherwise shall do it."""
        if session.testsfailed or session.config.option.collectonly or not session.items:
            return None
        if not can_fork():
            if (terminal := session.config.pluginmanager.getplugin("terminalreporter")) is not None:
                terminal.write_line("this process cannot be forked: it runs all tests itself")
            return None
        self._files.extend(_longest_first(session))
        try:
            for _ in range(min(self._processes_max, len(self._files))):
                self._fork(session)
            while self._processes and not (session.shouldfail or session.shouldstop):
                for ready in wait([process.connection for process in self._processes]):
                    self._hear(session, next(each for each in self._processes if each.connection is ready))
        finally:
            self._end()
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        if (cache := getattr(session.config, "cache", None)) is not None:
            cache.set(SECONDS, {**cache.get(SECONDS, {}), **self._seconds})
        return True

    def _fork(self, session: pytest.Session) -> None:
        # Each has a folder of its own in the one folder of the run.
        folder = session.config._tmp_path_factory.getbasetemp() / f"share{self._forks}"  # type: ignore[attr-defined]
        self._forks += 1
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for process in self._processes:
                process.connection.close()
            _Forked(session, theirs).run_and_exit(folder)
        theirs.close()
        self._processes.append(_Process(pid, ours))

    def _hear(self, session: pytest.Session, process: _Process) -> None:
        try:
            self._handle(session, process, process.connection.recv())
        except (EOFError, ConnectionError):
            self._ended(session, process)

    def _handle(self, session: pytest.Session, process: _Process, message: object) -> None:
        match message:
            case _Begun(place):
                process.left.remove(place)
                process.running = place
            case _Reported(data):
                report = session.config.hook.pytest_report_from_serializable(config=session.config, data=data)
                file = report.nodeid.partition("::")[0]
                self._seconds[file] = self._seconds.get(file, 0.0) + report.duration
                if report.when == "teardown":
                    process.running = None
                session.config.hook.pytest_runtest_logreport(report=report)
            case _Wanted():
                given = self._files.popleft() if self._files else []
                process.left.extend(given)
                process.connection.send(given)
            case _Broken(reason):
                session.shouldstop = reason

    def _ended(self, session: pytest.Session, process: _Process) -> None:
        self._processes.remove(process)
        process.connection.close()
        status = os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])
        if process.running is not None:
            item = session.items[process.running]
            said = f"its process ended with {status}"
            report = pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call")
            session.config.hook.pytest_runtest_logreport(report=report)
        elif status:
            session.shouldfail = f"a process of the tests ended with {status}, and not in a test"
        if process.left:
            self._files.appendleft(process.left)
            self._fork(session)

    def _end(self) -> None:
        """End those that are left, which see that nobody listens any more."""
        for process in self._processes:
            process.connection.close()
        end = time.monotonic() + END_SECONDS_MAX
        while self._processes and time.monotonic() < end:
            self._processes = [each for each in self._processes if os.waitpid(each.pid, os.WNOHANG)[0] == 0]
            time.sleep(_POLL_SECONDS)
        for process in self._processes:
            os.kill(process.pid, signal.SIGKILL)
            os.waitpid(process.pid, 0)


class _Forked:
    """In a process that was forked: runs the tests that it is given, and reports."""

    def __init__(self, session: pytest.Session, parent: "Connection[Any, Any]") -> None:
        self._session = session
        self._config = session.config
        self._parent = parent
        self._alone = False
        """Whether nobody listens any more."""

    def run_and_exit(self, folder: Path) -> NoReturn:
        status = 1
        try:
            self._become(folder)
            try:
                self._run()
            finally:
                self._session._setupstate.teardown_exact(None)
                self._config.hook.pytest_sessionfinish(session=self._session, exitstatus=pytest.ExitCode.OK)
                self._config._ensure_unconfigure()
            status = 0
        except (KeyboardInterrupt, pytest.exit.Exception) as error:
            self._send(_Broken(str(error) or "interrupted"))
        except BaseException:  # noqa: BLE001  (it is said by the process that prints, and ends the run)
            self._send(_Broken(traceback.format_exc()))
        finally:
            # What was registered to be done at the end is done once, by the process that forked.
            os._exit(status)

    def _become(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self._config._tmp_path_factory._basetemp = folder  # type: ignore[attr-defined]
        self._config.workerinput = {}  # type: ignore[attr-defined]  # as plugins know processes that do not print
        plugins = self._config.pluginmanager
        # The files of what is captured would be shared with all others.
        if (capturing := plugins.getplugin("capturemanager")) is not None:
            capturing.stop_global_capturing()
            capturing.start_global_capturing()
        plugins.unregister(name="terminalreporter")
        plugins.register(self)

    def _run(self) -> None:
        following = self._more()
        while following:
            indexes, following = following, []
            for place, index in enumerate(indexes):
                if self._is_over():
                    return
                # What its fixtures and the next test's have in common is kept.
                if place + 1 == len(indexes):
                    following = self._more()
                next_index = (*indexes[place + 1 :], *following)[:1]
                self._send(_Begun(index))
                items = self._session.items
                self._config.hook.pytest_runtest_protocol(
                    item=items[index], nextitem=items[next_index[0]] if next_index else None
                )

    def _is_over(self) -> bool:
        return self._alone or bool(self._session.shouldfail or self._session.shouldstop) or self._parent.poll()

    def _more(self) -> list[int]:
        self._send(_Wanted())
        try:
            more: list[int] = self._parent.recv()
        except (EOFError, ConnectionError):
            self._alone = True
            return []
        return more

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._send(_Reported(data))

    def _send(self, message: object) -> None:
        try:
            self._parent.send(message)
        except ConnectionError:
            self._alone = True


def can_fork() -> bool:
    """Tell whether this process may fork and go on.

    A fork has only the thread that forks. pyarrow's allocator and onnxruntime, which start one each when they are
    imported, bear that; OpenMP does not, once anything was computed in parallel, so nothing is at import.
    """
    return sys.platform == "linux" and threading.active_count() == 1


def _longest_first(session: pytest.Session) -> list[list[int]]:
    """Return the places of the tests, file by file; those of which nothing is known are the first."""
    files: dict[str, list[int]] = {}
    for index, item in enumerate(session.items):
        files.setdefault(item.nodeid.partition("::")[0], []).append(index)
    cache = getattr(session.config, "cache", None)
    known = {} if cache is None else cache.get(SECONDS, {})
    return [files[name] for name in sorted(files, key=lambda name: -known.get(name, float("inf")))]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", type=int, default=1, metavar="N", help="fork N processes that share the tests")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.share > 1:
        config.pluginmanager.register(Sharing(config.option.share))
