"""No broker without its owner: every JVM is in the process group of a guard that ends the group when we die."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hotswap_stream.broker.errors import BrokerError

_SCRIPT = Path(__file__).with_name("guard_process.py")
_END_TIMEOUT_S = 5.0


class ProcessGuard:
    """End processes that were started with `process_group=guard.group_id` when this process ends, also by SIGKILL.

    Args:
        folders: Folders to remove then, too.
        grace_s: Seconds that the processes get to stop by themselves first.
    """

    def __init__(self, folders: Sequence[Path] = (), grace_s: float = 0.0) -> None:
        self._arguments = [str(grace_s), *(str(folder) for folder in folders)]
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    @property
    def group_id(self) -> int:
        """Return the process group; it starts the guard when none runs. Raise BrokerError after `kill_group`."""
        if self._closed:
            raise BrokerError("this broker was stopped as a whole; start the cluster again, not one node of it")
        if self._process is None or self._process.poll() is not None:
            self._close_pipe()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT), *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                process_group=0,
                bufsize=0,
            )
        return self._process.pid

    def kill_group(self) -> None:
        """Send SIGKILL to everything in the group, the guard included. The guard starts nothing after this."""
        self._closed = True
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_END_TIMEOUT_S)
        self._close_pipe()
        self._process = None

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
