"""A training process and the pipes to it: started, heard, and never left behind."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from hotswap_stream.application.training import TrainingLine, TrainingOrder, TrainingProgress
from hotswap_stream.errors import HotswapError

LINE_BYTES_MAX = 1024 * 1024
STDERR_TAIL_BYTES_MAX = 4_096

_LINE: msgspec.json.Decoder[TrainingLine] = msgspec.json.Decoder(TrainingLine)


class TrainingProtocolError(HotswapError):
    """A training process wrote something that is not a line of the protocol."""


class TrainingProcess:
    """One running training process. `listen` to its end, then ask for `exit_code` and `stderr_tail`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stderr = bytearray()

    @property
    def exit_code(self) -> int:
        """Negative: the number of the signal that ended it."""
        return -signal.SIGKILL if self._process.returncode is None else self._process.returncode

    @property
    def stderr_tail(self) -> str:
        return self._stderr.decode(errors="replace").strip()

    async def listen(
        self, order: TrainingOrder, on_progress: Callable[[TrainingProgress], None]
    ) -> TrainingLine | None:
        """Hand over the order and hear the process to its end. Answers its last line that is no progress, if any.

        TrainingProtocolError if it writes what is no line.
        """
        stderr = asyncio.create_task(self._keep_stderr_tail())
        try:
            await self._hand_over(order)
            last = await self._read_lines(on_progress)
            await self._process.wait()
            await stderr
            return last
        finally:
            stderr.cancel()

    async def _hand_over(self, order: TrainingOrder) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        # A process that is gone already says so by its exit code.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            await self._process.stdin.drain()

    async def _read_lines(self, on_progress: Callable[[TrainingProgress], None]) -> TrainingLine | None:
        assert self._process.stdout is not None  # noqa: S101
        last: TrainingLine | None = None
        while True:
            try:
                line = await self._process.stdout.readline()
                if not line:
                    return last
                message = _LINE.decode(line)
            except (ValueError, msgspec.DecodeError) as error:
                raise TrainingProtocolError(f"the training process wrote no line of the protocol: {error}") from error
            if isinstance(message, TrainingProgress):
                on_progress(message)
            else:
                last = message

    async def _keep_stderr_tail(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        while part := await self._process.stderr.read(STDERR_TAIL_BYTES_MAX):
            self._stderr += part
            del self._stderr[:-STDERR_TAIL_BYTES_MAX]


@asynccontextmanager
async def training_process(command: Sequence[str]) -> AsyncIterator[TrainingProcess]:
    """Start a training process; whatever happens inside, it and its children are gone at the end. OSError."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
        # A group of its own: Ctrl-C on the owner's terminal is the owner's to handle, and one kill reaches all.
        start_new_session=True,
    )
    try:
        yield TrainingProcess(process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
