"""The command line as a reader: what it makes of topics that hold anything, in bounded time and in words."""

import asyncio
import os
import subprocess
import sys

from hotswap_stream.settings import child_environment
from tests.hostile.places import MODEL
from tests.hostile.stage import HostileStage

SECONDS_MAX = 90.0
_REFUSED = 1
"""What `audit verify` ends with where it found something."""
COMMANDS: dict[tuple[str, ...], int] = {
    ("models", "--json"): 0,
    ("events", "--json"): 0,
    ("fleet", MODEL, "--json"): 0,
    ("topics",): 0,
    ("audit", "verify"): _REFUSED,
}
"""Command → the highest exit code that is right."""


async def wrong_commands(hostile: HostileStage) -> list[str]:
    """What is wrong with what they did."""
    environment = child_environment(hostile.settings) | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    found = await asyncio.gather(*[_wrong(arguments, code, environment) for arguments, code in COMMANDS.items()])
    return [each for each in found if each is not None]


async def _wrong(arguments: tuple[str, ...], code_max: int, environment: dict[str, str]) -> str | None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hotswap_stream.cli", *arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    called = f"`hotswap-stream {' '.join(arguments)}`"
    try:
        async with asyncio.timeout(SECONDS_MAX):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{called} had not ended after {SECONDS_MAX:g} s"
    said = output.decode(errors="replace")
    code = process.returncode or 0
    if code > code_max or code < 0 or "Traceback" in said:
        return f"{called} ended with exit code {code}: {said[-600:]}"
    return None
