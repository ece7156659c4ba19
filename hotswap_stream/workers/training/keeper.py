"""Keeps one trainer's processes: `python keeper.py LIMITS COMMAND …`; limits are JSON, see `KeeperLimits`.

It starts the command, looks at what all of its descendants take together, and ends every one of them when the command
ends, when they take too much, when it is told to stop, or when whoever started it dies, however that dies. So nothing
that a trainer starts outlives its run, not even what left its parent: on Linux orphans come to this process.

What became of it goes as one JSON line to the file descriptor that the limits name. A program of its own, of the
standard library alone, so that it starts in a few milliseconds.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import Any

LOOK_SECONDS = 0.1
KILL_SECONDS_MAX = 10.0
EXIT_PARENT_GONE = 75
EXIT_NOT_STARTED = 127
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"


class Keeper:
    """One command with all that it starts."""

    def __init__(self, limits: dict[str, Any], command: list[str]) -> None:
        self._limits = limits
        self._command = command
        self._stop_s: float | None = None
        self._over: str | None = None
        self._status: int | None = None
        self._peak_bytes = 0
        self._child = 0

    def run(self) -> dict[str, Any]:
        """Start the command, and return how it ended when nothing of it is left."""
        signal.signal(signal.SIGTERM, self._told_to_stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._child = self._start()
        try:
            while self._status is None and self._over is None:
                self._reap()
                self._look()
                if self._stop_s is not None and time.monotonic() - self._stop_s > self._limits["stop_seconds"]:
                    break
                time.sleep(LOOK_SECONDS)
        finally:
            left = self._end_all()
        code = None if self._status is None else os.waitstatus_to_exitcode(self._status)
        return {
            "exit_code": -signal.SIGKILL if code is None else code,
            "over": self._over,
            "stopped": self._stop_s is not None,
            "peak_memory_bytes": self._peak_bytes,
            "left": left,
        }

    def _start(self) -> int:
        child = os.fork()
        if child:
            return child
        try:
            os.close(self._limits["status_fd"])
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            if _LINUX:
                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            size = self._limits["file_bytes_max"]
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            os.nice(self._limits["niceness"])
            os.execvp(self._command[0], self._command)  # noqa: S606 - the operator's command, without a shell
        except OSError as error:
            sys.stderr.write(f"{self._command[0]!r} could not be started: {error.strerror}\n")
            sys.stderr.flush()
        os._exit(EXIT_NOT_STARTED)

    def _told_to_stop(self, _signal: int, _frame: object) -> None:
        if self._stop_s is None:
            self._stop_s = time.monotonic()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGTERM)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child:
                self._status = status

    def _look(self) -> None:
        pids = descendants(os.getpid())
        if len(pids) > self._limits["processes_max"]:
            self._over = f"it had {len(pids)} processes; at most {self._limits['processes_max']} are allowed"
        used = sum(_resident_bytes(pid) for pid in pids)
        self._peak_bytes = max(self._peak_bytes, used)
        if used > self._limits["memory_bytes_max"]:
            self._over = f"it used {used} bytes of memory; at most {self._limits['memory_bytes_max']} are allowed"
        written = _folder_bytes(self._limits["folder"], self._limits["files_max"])
        if written is None:
            self._over = f"it wrote more than {self._limits['files_max']} files"
        elif written > self._limits["folder_bytes_max"]:
            self._over = f"it wrote {written} bytes; at most {self._limits['folder_bytes_max']} are allowed"

    def _end_all(self) -> int:
        """Kill what is left, again and again, since what forks meanwhile is seen the next time; return what stays."""
        until_s = time.monotonic() + KILL_SECONDS_MAX
        while True:
            self._reap()
            left = descendants(os.getpid())
            if not left or time.monotonic() > until_s:
                return len(left)
            # Stopped first, so that a bomb cannot fork between the look and the kill.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in left:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, number)
            time.sleep(0.01)


def descendants(root: int) -> list[int]:
    """Return the processes below one, but for those that are dead and wait to be reaped."""
    children: dict[int, list[int]] = {}
    if not _LINUX:
        return []
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := _stat(int(name))) is not None and stat[0] != "Z":
            children.setdefault(int(stat[1]), []).append(int(name))
    found: list[int] = []
    queue = [root]
    while queue:
        for pid in children.get(queue.pop(), ()):
            found.append(pid)
            queue.append(pid)
    return found


def _stat(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name before may hold spaces and parentheses.
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _folder_bytes(folder: str, files_max: int) -> int | None:
    """Return what the files take on the disk, or claim to have; None if there are too many. Links are not followed."""
    total, count = 0, 0
    for parent, folders, files in os.walk(folder):
        count += len(files) + len(folders)
        if count > files_max:
            return None
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def main(arguments: list[str]) -> int:
    """Keep one command; return 0 whatever became of it, which the status line says."""
    limits, command = json.loads(arguments[0]), arguments[1:]
    if _LINUX:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if os.getppid() != limits["parent_pid"]:
            return EXIT_PARENT_GONE
    line = json.dumps(Keeper(limits, command).run()).encode() + b"\n"
    with contextlib.suppress(OSError):
        os.write(limits["status_fd"], line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
