"""Processes whose disk is full, without filling the machine's.

A limit on the size of files makes every write that would make a file longer fail, in the kernel, as a full disk does;
the error says that the file is too large instead of that no space is left. It needs neither root nor a disk of its own.
"""

import asyncio
import resource
import subprocess
import sys

from hotswap_stream.broker.node import KafkaNode

END_SECONDS_MAX = 60.0
"""A broker whose only log folder takes nothing any more ends by itself; that may take until it writes next."""
_LIMITED = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)


async def fill(node: KafkaNode) -> bool:
    """From now on nothing can be written by the node; whether it ended because of that."""
    pid = node.pid
    if pid is None:
        return False
    _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    if await node.wait_for_end(END_SECONDS_MAX):
        return True
    await node.kill()
    return False


async def run_with_full_disk(arguments: list[str], environment: dict[str, str], bytes_max: int) -> tuple[int, str]:
    """A Python program that can write no file longer than this; its exit code and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _LIMITED, str(bytes_max), *arguments),
        # Python 3.11 leaves what it could write of a module's compiled code for whoever imports that module next.
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")
