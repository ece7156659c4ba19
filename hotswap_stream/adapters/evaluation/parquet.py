"""Parquet files from the outside: read by a process of its own, with an end in any case."""

import subprocess
import tempfile
import threading
from pathlib import Path

import msgspec

from hotswap_stream.adapters.evaluation.labelled_set import LabelledSet
from hotswap_stream.adapters.evaluation.parquet_process import (
    SECONDS_MAX,
    ParquetLine,
    ParquetOrder,
    ParquetRefused,
    parquet_command,
)
from hotswap_stream.adapters.evaluation.set_artifacts import unpack_set
from hotswap_stream.application.training.validation_sets import ValidationSetError

LINE_BYTES_MAX = 64 * 1024


def read_parquet(path: Path, *, bytes_max: int, kind: str | None = None, output: str | None = None) -> LabelledSet:
    """Return the labelled set in a Parquet file. Blocking.

    Args:
        path: The file.
        bytes_max: How many bytes its arrays may have.
        kind: What is measured on it; None: what the columns' names say.
        output: Which output of the model is measured.

    Raises:
        ValidationSetError: It is none; the message says what is wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "set"
        order = ParquetOrder(
            file=str(path.resolve()), target=str(target), bytes_max=bytes_max, kind=kind, output=output
        )
        line, returncode = _asked(msgspec.json.encode(order) + b"\n")
        if not line:
            raise ValidationSetError(
                f"the process that read the Parquet file ended with {returncode}: the file is damaged, or takes "
                "more memory or processor time than is allowed"
            )
        found = msgspec.json.decode(line, type=ParquetLine)
        if isinstance(found, ParquetRefused):
            raise ValidationSetError(found.reason)
        return unpack_set(target.read_bytes())


def _asked(order: bytes) -> tuple[bytes, int]:
    """Return the line that the process wrote, if any, and its exit code."""
    process = subprocess.Popen(
        parquet_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    timer = threading.Timer(SECONDS_MAX, process.kill)
    timer.daemon = True
    timer.start()
    with process:
        assert process.stdin is not None  # noqa: S101 - pipes were asked for
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(order)
            process.stdin.flush()
            # The input stays open: the process ends when it closes.
            line = process.stdout.readline(LINE_BYTES_MAX)
            process.wait()
        except BrokenPipeError:
            line = b""  # its exit code says why
        finally:
            timer.cancel()
            process.kill()
    return line, process.returncode
