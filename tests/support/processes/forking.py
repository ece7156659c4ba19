"""Has processes of the product that a test starts forked instead of executed; see `forks.py` for what that changes.

Only what is one of `FORKED` is forked, and only after the first of its kind was executed. Tests about the start of a
process say `@pytest.mark.executed`.
"""

import inspect
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock, current_thread, main_thread
from typing import Any, NamedTuple

from hotswap_stream.application.processes import tether
from tests.support.checkout import ROOT
from tests.support.processes.forks import Start, can_fork, send

FORKED = {
    "hotswap_stream.cli": None,
    "hotswap_stream.adapters.onnx.trial_process": False,
    "hotswap_stream.adapters.evaluation.process": False,
    "tests.support.processes.agents": False,
    "tests.support.processes.configured_agents": False,
    "tests.support.processes.dying_agents": False,
    "tests.support.processes.registry_writer": False,
    "tests.support.processes.shown": False,
    "tests.support.processes.slow_seek_agents": False,
}
"""Modules that are run; whether they need torch (None: if the command is one of HEAVY_COMMANDS)."""

HEAVY_COMMANDS = ("worker",)
COMMAND_LINE = "from hotswap_stream.cli import main; main()"
READ_AT_START = ("PYTHON", "LC_", "LANG", "OMP_", "MKL_", "KMP_", "OPENBLAS_", "LD_", "MALLOC_", "TORCH", "PYTORCH_")
"""How variables begin that an interpreter or a library reads when it starts. With others than here, it is executed."""

END_SECONDS_MAX = 10.0

_PARAMETERS = tuple(inspect.signature(subprocess.Popen._execute_child).parameters)  # type: ignore[attr-defined]


class Kind(NamedTuple):
    """What a forking process has to be like."""

    options: tuple[str, ...]
    """The options of the interpreter."""
    heavy: bool


class Wanted(NamedTuple):
    """A process of the product that is asked for."""

    kind: Kind
    arguments: list[str]
    tied_to: int | None


class _Forker:
    def __init__(self, kind: Kind) -> None:
        self._lock = Lock()
        self._control, theirs = socket.socketpair()
        with theirs:
            code = f"from tests.support.processes.forks import serve; serve({theirs.fileno()}, {kind.heavy})()"
            self._process = subprocess.Popen(
                [sys.executable, *kind.options, "-c", code],
                cwd=ROOT,
                # A library that starts threads when it is imported cannot be forked.
                env={**os.environ, "PYTHONPATH": _python_path(), "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, start: Start, descriptors: list[int]) -> int:
        with self._lock:
            return send(self._control, start, descriptors)

    def end(self) -> None:
        self._control.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS_MAX)
        self._process.kill()
        self._process.wait()


class Forking:
    """One process that forks for each kind of process that was started before."""

    def __init__(self) -> None:
        self._forkers: dict[Kind, _Forker] = {}
        self._seen: set[Kind] = set()
        self._failed: set[Kind] = set()
        self._before: Any = subprocess.Popen._execute_child  # type: ignore[attr-defined]
        self.executed = False
        """Whether nothing is forked now."""
        self.forked = 0
        """How many processes were."""

    def install(self) -> None:
        """Have `subprocess`, and asyncio with it, ask here first."""
        if can_fork() and not os.environ.get("HOTSWAP_TEST_PROCESSES_EXECUTED"):
            subprocess.Popen._execute_child = _asking(self, self._before)  # type: ignore[attr-defined]

    def expect(self, kind: Kind) -> None:
        """Have the next processes of this kind forked, from the next test on."""
        self._seen.add(kind)

    def begin_test(self, *, executed: bool) -> None:
        """Begin the next test. What forks is started here, in the main thread: it must not be a test's own child."""
        self.executed = executed
        for kind in self._seen - set(self._forkers) - self._failed:
            self._forkers[kind] = _Forker(kind)

    def fork(self, wanted: Wanted, asked: Mapping[str, Any]) -> int | None:
        """Return the id of a process that was forked; None: it is to be executed."""
        forker = self._forkers.get(wanted.kind)
        self.expect(wanted.kind)
        # What asks to be ended with its parent is ended with the thread that made it a child: here, the main thread.
        if forker is None or self.executed or current_thread() is not main_thread():
            return None
        start = Start(
            options=list(wanted.kind.options),
            arguments=wanted.arguments,
            environment=dict(os.environ if asked["env"] is None else asked["env"]),
            folder=os.path.abspath(asked["cwd"] or "."),
            new_session=asked["start_new_session"],
            group=asked["process_group"],
            tied_to=wanted.tied_to,
        )
        given = (asked["p2cread"], asked["c2pwrite"], asked["errwrite"])
        try:
            pid = forker.fork(start, [own if other == -1 else other for own, other in enumerate(given)])
        except ConnectionError:
            # It said why; `test_forking.py` fails then.
            self._failed.add(wanted.kind)
            self._forkers.pop(wanted.kind).end()
            return None
        self.forked += 1
        return pid

    def close(self) -> None:
        """End what forks."""
        subprocess.Popen._execute_child = self._before  # type: ignore[attr-defined]
        for forker in self._forkers.values():
            forker.end()
        self._forkers.clear()


def _asking(forking: Forking, otherwise: Any) -> Any:
    def execute_child(self: "subprocess.Popen[Any]", *positional: Any) -> None:
        asked = dict(zip(_PARAMETERS[1:], positional, strict=True))
        wanted = wanted_process(asked)
        pid = None if wanted is None else forking.fork(wanted, asked)
        if pid is None:
            otherwise(self, *positional)
            return
        self.pid = pid
        self._child_created = True  # type: ignore[attr-defined]
        handles = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in handles))  # type: ignore[attr-defined]

    return execute_child


def wanted_process(asked: Mapping[str, Any]) -> Wanted | None:
    """Return the process of the product that these arguments of `_execute_child` start; None if it is another."""
    unusual = ("preexec_fn", "pass_fds", "shell", "gid", "gids", "uid")
    if any(asked[name] for name in unusual) or asked["umask"] >= 0 or not asked["close_fds"]:
        return None
    if asked["executable"] not in (None, sys.executable) or isinstance(asked["args"], (str, bytes)):
        return None
    environment = os.environ if asked["env"] is None else asked["env"]
    if _begin(environment) != _begin(os.environ):
        return None
    interpreter, *rest = [os.fspath(argument) for argument in asked["args"]]
    tied_to = None
    if rest[:3] == ["-I", "-S", tether.__file__]:
        if rest[3] != str(os.getpid()):
            return None
        tied_to, interpreter, *rest = os.getpid(), *rest[4:]
    options = tuple(rest[:2]) if rest[:1] == ["-W"] else ()
    arguments = rest[len(options) :]
    if interpreter != sys.executable or len(arguments) < 2:
        return None
    if arguments[0] == "-c" and arguments[1] == COMMAND_LINE:
        module = "hotswap_stream.cli"
    elif arguments[0] == "-m" and arguments[1] in FORKED:
        module = arguments[1]
    else:
        return None
    heavy = FORKED[module]
    if heavy is None:
        heavy = arguments[2:3] != [] and arguments[2] in HEAVY_COMMANDS
    return Wanted(Kind(options, heavy), arguments, tied_to)


def _begin(environment: Mapping[str, str]) -> dict[str, str]:
    ours = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START) and name not in ours}


def _python_path() -> str:
    return os.pathsep.join((str(ROOT), str(ROOT / "events"), *filter(None, [os.environ.get("PYTHONPATH")])))
