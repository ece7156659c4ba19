"""Processes that the tests fork are what they are when they are executed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from hotswap_stream.application.processes.tether import tethered
from tests.support.processes.commands import environment_with, hotswap
from tests.support.processes.forking import Forking, wanted_process
from tests.support.processes.forks import can_fork

pytestmark = [
    pytest.mark.slow,
    pytest.mark.executed,
    pytest.mark.skipif(not can_fork(), reason="this system makes no children for other processes"),
]
SHOWN = [sys.executable, "-m", "tests.support.processes.shown"]


@pytest.fixture(scope="module")
def forking() -> Iterator[Forking]:
    """One that forks all that it knows, even the first."""
    # Each asks the one that was installed before it, which executes as these tests are marked.
    forking = Forking()
    forking.install()
    for argv in (SHOWN, [sys.executable, "-W", "error", *SHOWN[1:]], hotswap("worker")):
        wanted = wanted_process(_asked(argv))
        assert wanted is not None
        forking.expect(wanted.kind)
    forking.begin_test(executed=False)
    yield forking
    forking.close()


def _asked(argv: list[str], **options: Any) -> dict[str, Any]:
    usual = {"args": argv, "executable": None, "preexec_fn": None, "pass_fds": (), "shell": False, "close_fds": True}
    return {**usual, "gid": None, "gids": None, "uid": None, "umask": -1, "env": environment_with({}), **options}


def ran(forking: Forking, argv: list[str], *, forked: bool, **options: Any) -> tuple[dict[str, Any], int, str]:
    """What a process shows, its exit code, and what it wrote to standard error."""
    forking.executed = not forked
    before = forking.forked
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    output, errors = process.communicate("input\n", timeout=60)
    assert forking.forked == before + forked
    return json.loads(output), process.returncode, errors


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        ([*SHOWN, "0"], {}),
        ([*SHOWN, "3", "--flag", "ä"], {"env": {"HOTSWAP_HOME": "/nowhere", "A": "ü"}}),
        ([*SHOWN, "0"], {"cwd": "/", "start_new_session": True}),
        ([*SHOWN, "0"], {"process_group": 0}),
        ([sys.executable, "-W", "error", *SHOWN[1:], "0"], {}),
        (tethered([*SHOWN, "0"], os.getpid()), {"start_new_session": True}),
    ],
)
def test_a_fork_is_what_an_executed_process_is(forking: Forking, argv: list[str], options: dict[str, Any]) -> None:
    # Made here: libraries that other tests import meanwhile set variables, and one that differs is executed.
    options = {**options, "env": environment_with(options.get("env", {}))}
    executed, forked = (ran(forking, argv, forked=forked, **options) for forked in (False, True))
    assert forked == executed
    assert forked[0]["parent"] == os.getpid()


async def test_a_fork_is_waited_for_and_killed_as_any_child(forking: Forking) -> None:
    forking.executed = False
    for process_signal in (signal.SIGTERM, signal.SIGKILL, signal.SIGABRT):
        process = await asyncio.create_subprocess_exec(
            *SHOWN,
            "0",
            env=environment_with({}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        assert await process.stdout.readline()
        assert process.pid in {child.pid for child in psutil.Process().children()}
        process.send_signal(process_signal)
        assert await process.wait() == -process_signal


def test_a_command_refuses_what_it_does_not_know_either_way(forking: Forking) -> None:
    ends = []
    for forked in (False, True):
        forking.executed = not forked
        done = subprocess.run(
            hotswap("worker", "--nonsense"), env=environment_with({}), capture_output=True, text=True, check=False
        )
        ends.append((done.returncode, done.stdout, done.stderr))
    assert ends[0] == ends[1]
    assert ends[0][0] == 2


def test_what_cannot_be_forked_alike_is_executed(tmp_path: Path) -> None:
    environment = environment_with({})
    assert wanted_process(_asked(SHOWN)) is not None
    for argv, options in (
        ([sys.executable, "-m", "json.tool"], {}),
        ([sys.executable, "-c", "print()"], {}),
        (["python3", *SHOWN[1:]], {}),
        (SHOWN, {"env": {**environment, "OMP_NUM_THREADS": "3"}}),
        (SHOWN, {"env": {**environment, "PYTHONHASHSEED": "7"}}),
        (SHOWN, {"pass_fds": (5,)}),
        (tethered(SHOWN, os.getpid() + 1), {}),
    ):
        assert wanted_process(_asked(argv, **options)) is None


def test_what_other_threads_start_is_executed(forking: Forking) -> None:
    forking.executed = False
    before = forking.forked
    ended: list[int] = []

    def start() -> None:
        ended.append(subprocess.run([*SHOWN, "0"], env=environment_with({}), input=b"", capture_output=True).returncode)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert ended == [0]
    assert forking.forked == before  # executed: it would be tied to the main thread
