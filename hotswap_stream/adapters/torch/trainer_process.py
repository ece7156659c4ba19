"""The process of one training run: `python -m hotswap_stream.adapters.torch.trainer_process`.

Reads one `TrainingOrder` line from standard input, writes `TrainingLine`s to standard output, and ends with the
input: whoever started it holds the other end of the pipe, so a run never outlives its owner.
"""

import ctypes
import os
import signal
import sys
import threading
import traceback
from typing import BinaryIO

import msgspec

from hotswap_stream.application.training import TrainingAborted, TrainingLine, TrainingOrder
from hotswap_stream.errors import HotswapError

EXIT_ABORTED = 1
EXIT_OWNER_GONE = 3

_PR_SET_PDEATHSIG = 1


def trainer_command() -> tuple[str, ...]:
    """The argument list that starts this process with the interpreter that runs now."""
    return (sys.executable, "-m", "hotswap_stream.adapters.torch.trainer_process")


def main() -> int:
    """0 after a `finished` line, 1 after an `aborted` one. Any other exit code means a crash."""
    lines = _claim_stdout()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=TrainingOrder)
    _end_with_owner()
    try:
        # Here, not above: torch takes seconds to import, and the owner may be gone before that.
        from hotswap_stream.adapters.torch.data_files import DataFileError
        from hotswap_stream.adapters.torch.training_run import run_training

        try:
            _write(lines, run_training(order, lambda progress: _write(lines, progress)))
        except DataFileError as error:
            _write(lines, TrainingAborted(cause="bad-data", detail=str(error)))
            return EXIT_ABORTED
    except HotswapError as error:
        traceback.print_exc()
        _write(lines, TrainingAborted(cause="crashed", detail=str(error)))
        return EXIT_ABORTED
    return 0


def _claim_stdout() -> BinaryIO:
    """Standard output for the lines alone: what any library prints goes to standard error from here on."""
    lines = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return lines


def _write(lines: BinaryIO, line: TrainingLine) -> None:
    lines.write(msgspec.json.encode(line) + b"\n")
    lines.flush()


def _end_with_owner() -> None:
    if sys.platform == "linux":
        # At once even while a long operation holds the interpreter; the watch below serves the other systems.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_owner, name="owner-watch", daemon=True).start()


def _watch_owner() -> None:
    # The raw descriptor: a thread that sits in sys.stdin's lock would break the interpreter's own end.
    while os.read(0, 4096):
        pass
    os._exit(EXIT_OWNER_GONE)


if __name__ == "__main__":
    sys.exit(main())
