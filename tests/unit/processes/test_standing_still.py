"""A process that stands still says where and ends; one that turns does not."""

import subprocess
import sys

PROGRAM = """
import asyncio, ctypes, time
from hotswap_stream.observability.standing_still import ended_if_standing_still

def keep_the_lock():
    ctypes.PyDLL(None).sleep(60)

async def main():
    async with ended_if_standing_still({limit}):
        {work}
    time.sleep({after})
    print("ended by itself")

asyncio.run(main())
"""


def _run(work: str, limit: float, after: float = 0.0) -> "subprocess.CompletedProcess[str]":
    program = PROGRAM.format(work=work, limit=limit, after=after)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False)


def test_a_process_whose_lock_is_kept_says_where_and_ends() -> None:
    ended = _run("await asyncio.to_thread(keep_the_lock)", limit=1.0)
    assert ended.returncode == 1
    assert "in keep_the_lock" in ended.stderr
    assert "in run_forever" in ended.stderr
    assert ended.stdout == ""


def test_one_whose_loop_turns_ends_by_itself_and_may_stand_still_afterwards() -> None:
    ended = _run("await asyncio.sleep(4.5)", limit=4.0, after=4.5)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended by itself\n", "")
