"""Runs beside the broker, as a script of its own: ends it and removes its temporary data when its parent is gone.

A signal, an exit hook or a context manager cannot do that: `kill -9` skips them all. The end of a pipe cannot be
skipped. Standard library only, no import of the package: it starts in 20 ms and takes 8 MiB.

Arguments: seconds the broker gets to stop by itself before it is killed, then the folders to remove.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time

_PARENT_LOOK_S = 1.0
_REMOVE_TRIES_S = 10.0


def _wait_for_end_of_parent() -> None:
    parent = os.getppid()
    while True:
        readable, _, _ = select.select([0], [], [], _PARENT_LOOK_S)
        # Nothing is ever written, so readable means closed. A fork of the parent that never executed another
        # program holds the pipe open too: hence the look at the parent itself.
        if readable or os.getppid() != parent:
            return


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end_group(group: int, grace_s: float) -> None:
    if grace_s > 0:
        _signal_group(group, signal.SIGTERM)
        _signal_group(group, signal.SIGCONT)
        time.sleep(grace_s)
    _signal_group(group, signal.SIGKILL)


def _remove(folders: list[str]) -> None:
    deadline = time.monotonic() + _REMOVE_TRIES_S
    while folders and time.monotonic() < deadline:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        folders = [folder for folder in folders if os.path.exists(folder)]
        time.sleep(0.05)


def _main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    grace_s, folders = float(sys.argv[1]), sys.argv[2:]
    _wait_for_end_of_parent()
    group = os.getpgrp()
    if os.fork():
        # Stays in the group until the group is killed, so that its number cannot become another group's.
        signal.pause()
        return
    os.setsid()
    _end_group(group, grace_s)
    _remove(folders)


if __name__ == "__main__":
    _main()
