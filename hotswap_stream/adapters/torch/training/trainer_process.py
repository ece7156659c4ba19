"""The process of one training run: `python -m hotswap_stream.adapters.torch.training.trainer_process`.

Reads one `TrainingOrder` line from standard input, writes `TrainingLine`s to standard output, and ends with the
input: whoever started it holds the other end of the pipe, so a run never outlives its owner.
"""

import sys
import traceback
from collections.abc import Sequence

import msgspec

from hotswap_stream.application.plugins.finding import name_modules
from hotswap_stream.application.processes.owned import EXIT_ABORTED, claim_stdout, end_with_owner, write_line
from hotswap_stream.application.training.runs import TrainingAborted, TrainingOrder
from hotswap_stream.errors import HotswapError


def trainer_command(modules: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the argument list that starts this process with the interpreter that runs now.

    `modules` are those with plug-ins that the operator named.
    """
    return (sys.executable, "-m", "hotswap_stream.adapters.torch.training.trainer_process", *modules)


def main() -> int:
    """Return 0 after a `finished` line, 1 after an `aborted` one. Any other exit code means a crash."""
    lines = claim_stdout()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=TrainingOrder)
    end_with_owner()
    name_modules(sys.argv[1:])
    try:
        # Here, not above: torch takes seconds to import, and the owner may be gone before that.
        from hotswap_stream.adapters.torch.data.files import DataFileError
        from hotswap_stream.adapters.torch.training.run import run_training

        try:
            write_line(lines, run_training(order, lambda progress: write_line(lines, progress)))
        except DataFileError as error:
            write_line(lines, TrainingAborted(cause="bad-data", detail=str(error)))
            return EXIT_ABORTED
    except HotswapError as error:
        traceback.print_exc()
        write_line(lines, TrainingAborted(cause="crashed", detail=str(error)))
        return EXIT_ABORTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
