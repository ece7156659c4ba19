"""One trainer's processes under a keeper: the order in, lines out within limits, and how it all ended."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from hotswap_stream.application.trainers.place import BadOutputError
from hotswap_stream.application.trainers.protocol import (
    LINE_BYTES_MAX,
    LINES,
    LOG_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    TrainerLine,
    TrainerOrder,
)

KEEPER = Path(__file__).with_name("keeper.py")
STOP_SECONDS = 5.0
"""Between being told to stop and being ended."""
END_SECONDS_MAX = 20.0
READ_BYTES = 65_536


class ProcessLimits(Struct, frozen=True, kw_only=True):
    """What all processes of one run may take together."""

    memory_bytes_max: int
    folder_bytes_max: int
    processes_max: int = 64
    files_max: int = 10_000
    niceness: int = 10


class KeptEnd(Struct, frozen=True, kw_only=True):
    """How a trainer's processes ended."""

    exit_code: int
    """Negative: the number of the signal that ended the first process."""
    over: str | None = None
    """What it took too much of."""
    stopped: bool = False
    peak_memory_bytes: int = 0
    left: int = 0
    """Processes that could not be ended."""

    def told(self) -> str:
        """Say for people how it ended."""
        if self.over is not None:
            return self.over
        if self.exit_code < 0:
            with suppress(ValueError):
                return f"the trainer was killed by {signal.Signals(-self.exit_code).name}"
            return f"the trainer was killed by signal {-self.exit_code}"
        return f"the trainer ended with exit code {self.exit_code}"


_ENDS: "msgspec.json.Decoder[KeptEnd]" = msgspec.json.Decoder(KeptEnd)
_UNKNOWN = KeptEnd(exit_code=-signal.SIGKILL)


class KeptProcess:
    """A trainer that runs."""

    def __init__(self, process: asyncio.subprocess.Process, status: asyncio.StreamReader) -> None:
        self._process = process
        self._status = status
        self._log = bytearray()
        self.end: KeptEnd | None = None
        """How it ended, once it has."""

    @property
    def log(self) -> str:
        """The end of what was written to standard error."""
        return self._log.decode(errors="replace")

    async def listen(self, order: TrainerOrder, on_line: Callable[[TrainerLine], None]) -> KeptEnd:
        """Hand over the order and hear the trainer to its end.

        Raises:
            BadOutputError: It wrote what is no line of the protocol, or too much.
        """
        log = asyncio.create_task(self._keep_log())
        try:
            assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
            with suppress(BrokenPipeError, ConnectionResetError):
                self._process.stdin.write(msgspec.json.encode(order) + b"\n")
                await self._process.stdin.drain()
            await self._read_lines(on_line)
            line = await self._status.readline()
            await self._process.wait()
            await log
        finally:
            log.cancel()
        with suppress(msgspec.DecodeError):
            self.end = _ENDS.decode(line)
        return self.end or _UNKNOWN

    def stop(self) -> None:
        """Tell it to stop; what does not within some seconds is ended."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    async def _read_lines(self, on_line: Callable[[TrainerLine], None]) -> None:
        assert self._process.stdout is not None  # noqa: S101
        read = 0
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError as error:
                raise BadOutputError(f"the trainer wrote a line of more than {LINE_BYTES_MAX} bytes") from error
            if not line:
                return
            read += len(line)
            if read > OUTPUT_BYTES_MAX:
                raise BadOutputError(f"the trainer wrote more than {OUTPUT_BYTES_MAX} bytes of lines")
            if not line.strip():
                continue
            try:
                message = LINES.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                shown = line[:200].decode(errors="replace").strip()
                raise BadOutputError(f"the trainer wrote no line of the protocol: {error}: {shown!r}") from error
            on_line(message)

    async def _keep_log(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        while part := await self._process.stderr.read(READ_BYTES):
            self._log += part
            del self._log[:-LOG_BYTES_MAX]


@asynccontextmanager
async def kept_process(
    command: Sequence[str], limits: ProcessLimits, folder: Path, environment: dict[str, str]
) -> AsyncIterator[KeptProcess]:
    """Start a trainer; whatever happens inside, it and all that it started are gone at the end. OSError."""
    ours, theirs = os.pipe()
    given = {
        **msgspec.to_builtins(limits),
        "file_bytes_max": limits.folder_bytes_max,
        "folder": str(folder),
        "status_fd": theirs,
        "parent_pid": os.getpid(),
        "stop_seconds": STOP_SECONDS,
    }
    status = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(status), os.fdopen(ours, "rb")
    )
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(KEEPER), msgspec.json.encode(given).decode(), *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            pass_fds=(theirs,),
            cwd=folder,
            env=environment,
            # A session of its own: Ctrl-C on the owner's terminal is the owner's to handle.
            start_new_session=True,
        )
    except BaseException:
        transport.close()
        raise
    finally:
        os.close(theirs)
    try:
        yield KeptProcess(process, status)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.shield(_gone(process))
        finally:
            transport.close()
            if process.stdin is not None:
                process.stdin.close()


async def _gone(process: asyncio.subprocess.Process) -> None:
    """Wait until the keeper is gone, which ends all others before; at last it is killed itself."""
    readers = [asyncio.create_task(_drained(stream)) for stream in (process.stdout, process.stderr)]
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS_MAX)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _drained(stream: asyncio.StreamReader | None) -> None:
    """Read on to nothing, so that nobody waits to write."""
    while stream is not None:
        try:
            if not await stream.read(READ_BYTES):
                return
        except (ValueError, RuntimeError):
            return
