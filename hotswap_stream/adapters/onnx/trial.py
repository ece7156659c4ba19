"""Trials from the outside: a process for each, with an end in any case."""

import asyncio
import signal
import sys
from pathlib import Path

import msgspec
import structlog

from hotswap_stream.application.artifacts.file import digest_hex
from hotswap_stream.application.artifacts.trial import TrialFailedError, TrialLine, TrialOrder, TrialPassed

COMMAND = (sys.executable, "-m", "hotswap_stream.adapters.onnx.trial_process")
LINE_BYTES_MAX = 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024

_log = structlog.get_logger(__name__)


async def try_model(order: TrialOrder, command: tuple[str, ...] = COMMAND) -> TrialPassed:
    """Open and run a model in a process of its own.

    Raises:
        TrialFailedError: It cannot be served, or it was too much for the limits; the message says which.
    """
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


class TrialMemory:
    """Which artifacts passed a trial on this machine, by digest. Lost marks cost another trial, nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, digest: str) -> bool:
        """Return whether the artifact passed. InvalidDigestError."""
        return self._mark(digest).exists()

    def add(self, digest: str) -> None:
        """Note that it passed; a folder that cannot be written to is no reason to fail."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mark(digest).touch()
        except OSError as error:
            _log.warning("trial_not_remembered", cause=str(error))

    def _mark(self, digest: str) -> Path:
        return self._folder / f"{digest_hex(digest)}.passed"


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
