"""Trials from the outside: a process for each, with an end in any case."""

import importlib.util
import signal
import sys

import msgspec
import structlog

from hotswap_stream.application.artifacts.trial import TrialFailedError, TrialLine, TrialOrder, TrialPassed
from hotswap_stream.application.processes.asking import ask_process

COMMAND = (sys.executable, "-m", "hotswap_stream.adapters.onnx.trial_process")

_log = structlog.get_logger(__name__)


def can_try() -> bool:
    """Return whether what runs a graph is installed here."""
    return importlib.util.find_spec("onnxruntime") is not None


async def try_model(order: TrialOrder, command: tuple[str, ...] = COMMAND) -> TrialPassed:
    """Open and run a model in a process of its own.

    Raises:
        TrialFailedError: It cannot be served, it was too much for the limits, or nothing is installed here that could
            try it; the message says which.
    """
    if not can_try():
        raise TrialFailedError(
            "an ONNX graph is tried before it is registered, and onnxruntime is not installed here: "
            "pip install 'hotswap-stream[worker]'"
        )
    try:
        answered = await ask_process(command, msgspec.json.encode(order), seconds_max=order.limits.seconds_max)
    except TimeoutError:
        raise TrialFailedError(
            f"the model did not open and run within {order.limits.seconds_max} s; nothing was registered"
        ) from None
    if answered.line:
        return _read(answered.line)
    _log.info("trial_crashed", returncode=answered.returncode, errors=answered.errors[-2_000:])
    raise TrialFailedError(_why_ended(answered.returncode, order))


def _read(line: bytes) -> TrialPassed:
    try:
        found = msgspec.json.decode(line, type=TrialLine)
    except msgspec.DecodeError as error:
        raise TrialFailedError(f"the process that tried the model wrote what cannot be read: {error}") from error
    if isinstance(found, TrialPassed):
        return found
    raise TrialFailedError(found.reason)


def _why_ended(returncode: int | None, order: TrialOrder) -> str:
    limits = order.limits
    if returncode == -signal.SIGXCPU or (returncode == -signal.SIGKILL):
        return (
            f"the process that tried the model was killed: it took more than {limits.cpu_seconds_max} s of processor "
            "time, or the machine had no memory left"
        )
    if returncode is not None and returncode < 0:
        return (
            f"the model crashed the process that tried it (signal {-returncode}), perhaps for lack of memory: "
            f"{limits.memory_bytes_max} bytes are allowed; nothing else was touched"
        )
    return f"the process that tried the model ended with exit code {returncode} and said nothing"
