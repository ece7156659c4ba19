"""Trials from the outside: a process for each, with an end in any case."""

import asyncio
import importlib.util
import signal
import sys

import msgspec
import structlog

from hotswap_stream.application.artifacts.trial import TrialFailedError, TrialLine, TrialOrder, TrialPassed

COMMAND = (sys.executable, "-m", "hotswap_stream.adapters.onnx.trial_process")
LINE_BYTES_MAX = 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024

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
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
    assert process.stdin is not None  # noqa: S101 - pipes were asked for
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    errors = asyncio.create_task(_tail(process.stderr))
    try:
        process.stdin.write(msgspec.json.encode(order) + b"\n")
        async with asyncio.timeout(order.limits.seconds_max):
            try:
                await process.stdin.drain()
                # The input stays open: the process ends when it closes.
                line = await process.stdout.readline()
            except (BrokenPipeError, ConnectionResetError, ValueError):
                line = b""
            if line:
                return _read(line)
            await process.wait()
    except TimeoutError:
        raise TrialFailedError(
            f"the model did not open and run within {order.limits.seconds_max} s; nothing was registered"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process.stdin.close()
        text = await errors
    _log.info("trial_crashed", returncode=process.returncode, errors=text[-2_000:])
    raise TrialFailedError(_why_ended(process.returncode, order))


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


async def _tail(stream: asyncio.StreamReader) -> str:
    kept = b""
    while chunk := await stream.read(65_536):
        kept = (kept + chunk)[-ERROR_BYTES_MAX:]
    return kept.decode(errors="replace")
