"""A process that somebody else started for one order: its lines out, and its end with its owner."""

import ctypes
import os
import signal
import sys
import threading
from typing import BinaryIO, NoReturn

import msgspec

EXIT_ABORTED = 1
EXIT_OWNER_GONE = 3

_PR_SET_PDEATHSIG = 1


def claim_stdout() -> BinaryIO:
    """Keep standard output for the lines alone: what any library prints goes to standard error from here on."""
    lines = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return lines


def write_line(lines: BinaryIO, line: msgspec.Struct) -> None:
    """Write one JSON object, at once."""
    lines.write(msgspec.json.encode(line) + b"\n")
    lines.flush()


def end_with_owner() -> None:
    """End this process when standard input ends, or its owner, from here on."""
    if sys.platform == "linux":
        # At once even while a long operation holds the interpreter; the watch below serves the other systems.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_owner, name="owner-watch", daemon=True).start()


def leave(exit_code: int) -> NoReturn:
    """End this process now, with all that was written.

    Not by the interpreter's own end: a thread that gives back a model's memory meanwhile is ended in the middle of
    native code by that, and the whole process by `std::terminate`, after the work was done.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _watch_owner() -> None:
    # The raw descriptor: a thread that sits in sys.stdin's lock would break the interpreter's own end.
    while os.read(0, 4096):
        pass
    os._exit(EXIT_OWNER_GONE)
