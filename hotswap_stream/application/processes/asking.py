"""A process of its own for one question: an order in, one line out, and an end in any case."""

import asyncio

from msgspec import Struct

LINE_BYTES_MAX = 1024 * 1024
ERROR_BYTES_MAX = 64 * 1024


class Answered(Struct, frozen=True):
    """What a process left."""

    line: bytes
    """Empty if it wrote none."""
    returncode: int | None
    """None if it was ended after its line."""
    errors: str
    """The end of what it wrote to standard error."""


async def ask_process(command: tuple[str, ...], order: bytes, *, seconds_max: float) -> Answered:
    """Start a process, write `order` as a line to it, and return the first line that it writes. It is gone then.

    Raises:
        TimeoutError: It wrote none within this time.
        OSError: It cannot be started.
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
    tail = asyncio.create_task(_tail(process.stderr))
    line, returncode = b"", None
    try:
        process.stdin.write(order + b"\n")
        async with asyncio.timeout(seconds_max):
            try:
                await process.stdin.drain()
                # The input stays open: the process ends when it closes.
                line = await process.stdout.readline()
            except (BrokenPipeError, ConnectionResetError, ValueError):
                line = b""
            if not line:
                returncode = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process.stdin.close()
        errors = await tail
    return Answered(line, returncode, errors)


async def _tail(stream: asyncio.StreamReader) -> str:
    kept = b""
    while chunk := await stream.read(65_536):
        kept = (kept + chunk)[-ERROR_BYTES_MAX:]
    return kept.decode(errors="replace")
