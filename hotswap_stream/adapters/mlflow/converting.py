"""The process that makes a graph of a model, from the outside: started for one, ended in any case."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from hotswap_stream.application.artifacts.bundle import check_names
from hotswap_stream.application.mlflow.importing.conversion import (
    RESULT_FILE,
    ConversionLine,
    ConversionOrder,
    Converted,
)
from hotswap_stream.application.mlflow.source import SourceRefusedError
from hotswap_stream.application.processes.asking import ask_process

# A converter is the client's, which adapters do not import; it runs in a process of its own in any case.
# One model takes one core, whatever its framework would like.
COMMAND = (
    "env", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1",
    sys.executable, "-m", "hotswap_stream.client.publishing.stored.conversion_process",
)  # fmt: skip

_log = structlog.get_logger(__name__)


async def convert(order: ConversionOrder) -> tuple[Converted, Path, Mapping[str, Path]]:
    """Make a graph of a model in a process of its own.

    Returns:
        What was made, the graph, and what stands beside it by the names that the graph has for it.

    Raises:
        SourceRefusedError: No graph can be made of it, it was too much for the limits, or a package is missing; the
            message says which.
    """
    try:
        answered = await ask_process(COMMAND, msgspec.json.encode(order), seconds_max=order.limits.seconds_max)
    except TimeoutError:
        raise SourceRefusedError(f"the model was not converted within {order.limits.seconds_max} s") from None
    if answered.line:
        return _read(answered.line, Path(order.into))
    _log.info("conversion_crashed", returncode=answered.returncode, errors=answered.errors[-2_000:])
    raise SourceRefusedError(_why_ended(answered.returncode, order))


def _read(line: bytes, into: Path) -> tuple[Converted, Path, Mapping[str, Path]]:
    try:
        found = msgspec.json.decode(line, type=ConversionLine)
    except msgspec.DecodeError as error:
        raise SourceRefusedError(f"the process that converts wrote what cannot be read: {error}") from error
    if not isinstance(found, Converted):
        raise SourceRefusedError(found.reason)
    check_names([RESULT_FILE, *found.beside])
    graph = into / RESULT_FILE
    beside = {name: into / f"beside-{index}" for index, name in enumerate(found.beside)}
    for path in (graph, *beside.values()):
        if path.is_symlink() or not path.is_file():
            raise SourceRefusedError("the process that converts left no graph")
    return found, graph, beside


def _why_ended(returncode: int | None, order: ConversionOrder) -> str:
    if returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return (
            f"the process that converts was killed: it took more than {order.limits.cpu_seconds_max} s of processor "
            "time, or the machine had no memory left"
        )
    if returncode is not None and returncode < 0:
        return (
            f"the model crashed the process that converts it (signal {-returncode}), perhaps for lack of memory or "
            "because it wrote too large a file; nothing else was touched"
        )
    return f"the process that converts ended with exit code {returncode} and said nothing"
