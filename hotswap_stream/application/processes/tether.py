"""Ties a child process to its parent: `python tether.py PARENT_PID COMMAND …`.

It asks the kernel to kill this process when its parent dies, however the parent dies, and then becomes the command.
Only Linux can do that; elsewhere the command runs untied and outlives a parent that was killed with -9.

Done after the fork, in a program of its own, because Python code between fork and exec (`preexec_fn`) can deadlock in
a process with threads.
"""

import ctypes
import os
import signal
import sys

EXIT_PARENT_GONE = 75
"""The parent died before the child was tied to it."""

EXIT_NOT_STARTED = 127
_PR_SET_PDEATHSIG = 1


def tethered(argv: list[str], parent_pid: int) -> list[str]:
    """Return the argument list that runs `argv` tied to `parent_pid`, the process that starts it."""
    # Isolated and without site packages: nothing but the standard library is needed, and it starts in a few ms.
    return [sys.executable, "-I", "-S", __file__, str(parent_pid), *argv]


def main(arguments: list[str]) -> int:
    """Become the command; returns only when that fails."""
    parent_pid, argv = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:
            return EXIT_PARENT_GONE
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - the argument list comes from our own parent
    except OSError as error:
        sys.stderr.write(f"{argv[0]!r} could not be started: {error.strerror}\n")
    return EXIT_NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
