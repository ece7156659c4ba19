"""The process that reads one Parquet file: `python -m hotswap_stream.adapters.evaluation.parquet_process`.

Reads one `ParquetOrder` line from standard input, writes one `ParquetLine` to standard output, and ends with the input.
What a hostile file does to the parser, it does to this process alone, which may take only so much.
"""

import resource
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from hotswap_stream.application.processes.owned import EXIT_ABORTED, claim_stdout, end_with_owner, leave, write_line
from hotswap_stream.errors import HotswapError

MEMORY_BYTES_MAX = 8 * 1024**3
"""Address space, beside eight times the limit on the arrays."""
SECONDS_MAX = 120
"""Processor time, and time by the clock."""


class ParquetOrder(Struct, frozen=True, kw_only=True):
    """What to read. Paths are the owner's."""

    file: str
    target: str
    """Where the set goes, as an artifact."""
    bytes_max: int
    kind: str | None = None
    output: str | None = None


class ParquetRead(Struct, frozen=True, kw_only=True, tag="read"):
    """The set lies in the target."""


class ParquetRefused(Struct, frozen=True, kw_only=True, tag="refused"):
    """It is none."""

    reason: str


ParquetLine = ParquetRead | ParquetRefused


def parquet_command() -> tuple[str, ...]:
    """Return the argument list that starts this process with the interpreter that runs now."""
    return (sys.executable, "-m", "hotswap_stream.adapters.evaluation.parquet_process")


def main() -> int:
    """Return 0 after a `read` line, 1 after a `refused` one. Any other exit code means a crash, or a limit."""
    lines = claim_stdout()
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=ParquetOrder)
    end_with_owner()
    _limit(order)
    try:
        Path(order.target).write_bytes(_read(order))
    except ModuleNotFoundError as error:
        reason = (
            f"reading Parquet needs {error.name}, which is not installed here: pip install 'hotswap-stream[parquet]'"
        )
        write_line(lines, ParquetRefused(reason=reason))
        return EXIT_ABORTED
    except (HotswapError, OSError, MemoryError) as error:
        write_line(lines, ParquetRefused(reason=str(error) or "there was not enough memory"))
        return EXIT_ABORTED
    write_line(lines, ParquetRead())
    return 0


def _read(order: ParquetOrder) -> bytes:
    from hotswap_stream.adapters.evaluation.labelled_set import labelled_set
    from hotswap_stream.adapters.evaluation.parquet_columns import read_columns
    from hotswap_stream.adapters.evaluation.set_artifacts import pack_set

    columns = read_columns(Path(order.file), order.bytes_max)
    return pack_set(labelled_set(columns, kind=order.kind, output=order.output))


def _limit(order: ParquetOrder) -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX + 8 * order.bytes_max),
        (resource.RLIMIT_CPU, SECONDS_MAX),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    leave(main())
