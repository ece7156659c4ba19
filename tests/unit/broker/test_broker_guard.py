"""The guard ends what its owner started, however the owner ends."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hotswap_stream.broker import BrokerError
from hotswap_stream.broker.guard import ProcessGuard

_DEADLINE_S = 60.0
_OWNER = """
import os, subprocess, sys
from pathlib import Path
from hotswap_stream.broker.guard import ProcessGuard
guard = ProcessGuard([Path(sys.argv[1])], float(sys.argv[2]))
ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" if sys.argv[3] == "deaf" else ""
code = ignore + "print('up', flush=True); import time; time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], process_group=guard.group_id, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, guard.group_id, flush=True)
sys.stdin.readline()
os._exit(0)
"""


def lives(pid: int) -> bool:
    return bool(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def wait_until_gone(pids: list[int], folder: Path) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while any(lives(pid) for pid in pids) or folder.exists():
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if lives(pid)]}, {folder.exists()}"
        time.sleep(0.02)


@pytest.mark.parametrize(("grace_s", "child"), [("0", "deaf"), ("0.2", "deaf"), ("0.2", "obedient")])
@pytest.mark.parametrize("end", ["kill", "exit"])
def test_an_owner_that_ends_takes_its_processes_and_folders_along(
    tmp_path: Path, grace_s: str, child: str, end: str
) -> None:
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _OWNER, str(folder), grace_s, child]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdin is not None
        pids = [int(text) for text in owner.stdout.readline().split()]
        assert all(lives(pid) for pid in pids)
        if end == "kill":
            owner.kill()
        else:
            owner.stdin.write("\n")
            owner.stdin.flush()
        owner.wait(_DEADLINE_S)
    wait_until_gone(pids, folder)


def test_kill_group_ends_processes_and_keeps_folders(tmp_path: Path) -> None:
    guard = ProcessGuard([tmp_path])
    group = guard.group_id
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=group) as child:
        guard.kill_group()
        assert child.wait(_DEADLINE_S) == -9
    assert not lives(group)
    assert tmp_path.exists()


def test_a_closed_guard_starts_nothing() -> None:
    guard = ProcessGuard()
    guard.kill_group()
    with pytest.raises(BrokerError, match="stopped as a whole"):
        _ = guard.group_id


def test_a_guard_that_was_killed_is_replaced() -> None:
    guard = ProcessGuard()
    first = guard.group_id
    psutil.Process(first).kill()
    deadline = time.monotonic() + _DEADLINE_S
    while (second := guard.group_id) == first:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert lives(second)
    guard.kill_group()
