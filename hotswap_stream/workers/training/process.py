"""A process of ours for torch work, and the pipes to it: started, heard, and never left behind."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import msgspec

from hotswap_stream.errors import HotswapError

LINE_BYTES_MAX = 1024 * 1024
STDERR_TAIL_BYTES_MAX = 4_096

_LineT = TypeVar("_LineT")


class LineProtocolError(HotswapError):
    """A process wrote something that is not a line of its protocol."""


class OrderedProcess(Generic[_LineT]):
    """One running process that got an order. `listen` to its end, then ask for `exit_code` and `stderr_tail`.

    `lines` decodes what it writes; `name` is how errors speak of it, such as "the training process".
    """

    def __init__(self, process: asyncio.subprocess.Process, lines: "msgspec.json.Decoder[_LineT]", name: str) -> None:
        self._process = process
        self._lines = lines
        self._name = name
        self._stderr = bytearray()

    @property
    def exit_code(self) -> int:
        """The exit code; negative: the number of the signal that ended it."""
        return -signal.SIGKILL if self._process.returncode is None else self._process.returncode

    @property
    def stderr_tail(self) -> str:
        """The end of what the process wrote to standard error."""
        return self._stderr.decode(errors="replace").strip()

    async def listen(self, order: msgspec.Struct, on_line: Callable[[_LineT], None]) -> None:
        """Hand over the order and hear the process to its end. LineProtocolError if it writes what is no line."""
        stderr = asyncio.create_task(self._keep_stderr_tail())
        try:
            await self._hand_over(order)
            await self._read_lines(on_line)
            await self._process.wait()
            await stderr
        finally:
            stderr.cancel()

    async def _hand_over(self, order: msgspec.Struct) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe was asked for
        # A process that is gone already says so by its exit code.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            await self._process.stdin.drain()

    async def _read_lines(self, on_line: Callable[[_LineT], None]) -> None:
        assert self._process.stdout is not None  # noqa: S101
        while True:
            try:
                line = await self._process.stdout.readline()
                if not line:
                    return
                message = self._lines.decode(line)
            except (ValueError, msgspec.DecodeError, RecursionError) as error:
                raise LineProtocolError(f"{self._name} wrote no line of the protocol: {error}") from error
            on_line(message)

    def how_it_ended(self) -> str:
        """Say for people the exit code or the signal, and the end of what it wrote to standard error."""
        code = self.exit_code
        if code >= 0:
            return self.with_tail(f"{self._name} ended with exit code {code} before it was done")
        name = signal.Signals(-code).name
        guess = " (out of memory, or ended from outside)" if -code == signal.SIGKILL else ""
        return self.with_tail(f"{self._name} was killed by {name}{guess}")

    def with_tail(self, text: str) -> str:
        """Return the text, and the end of what the process wrote to standard error."""
        tail = self.stderr_tail
        return f"{text}; the end of what it wrote:\n{tail}" if tail else text

    async def _keep_stderr_tail(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        while part := await self._process.stderr.read(STDERR_TAIL_BYTES_MAX):
            self._stderr += part
            del self._stderr[:-STDERR_TAIL_BYTES_MAX]


@asynccontextmanager
async def ordered_process(
    command: Sequence[str], lines: "msgspec.json.Decoder[Any]", name: str
) -> AsyncIterator[OrderedProcess[Any]]:
    """Start a process; whatever happens inside, it and its children are gone at the end. OSError."""
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
        yield OrderedProcess(process, lines, name)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()
