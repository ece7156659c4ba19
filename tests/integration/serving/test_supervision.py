"""The supervisor with real processes."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from hotswap_stream.application.processes.supervision import ProcessSpec, ProcessStatus, SupervisionError, Supervisor

SLEEP = [sys.executable, "-I", "-c", "import time; time.sleep(600)"]
SECONDS_MAX = 60.0


async def gone(pid: int) -> None:
    """Wait until the process has ended, or is a zombie nobody waits for."""
    async with asyncio.timeout(SECONDS_MAX):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.02)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-c", code]


async def test_a_killed_process_is_started_again() -> None:
    async with Supervisor([ProcessSpec(name="sleeper", argv=SLEEP)]) as supervisor:
        first = supervisor.status("sleeper")
        assert first.state == "running"
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        async with asyncio.timeout(SECONDS_MAX):
            await supervisor.wait_for("sleeper", "restarting")
            second = await supervisor.wait_for("sleeper", "running")
        assert second.restarts == 1
        assert second.exit_code == -signal.SIGKILL
        assert second.pid not in (None, first.pid)
    assert supervisor.status("sleeper").state == "stopped"
    assert second.pid is not None
    await gone(second.pid)


async def test_a_process_that_ends_by_itself_is_started_again_until_it_did_so_too_often() -> None:
    seen: list[ProcessStatus] = []
    spec = ProcessSpec(
        name="short", argv=python("raise SystemExit(3)"), restarts_per_minute_max=2, backoff_seconds_first=0.01
    )
    supervisor = Supervisor([spec], on_change=seen.append)
    await supervisor.start()
    async with asyncio.timeout(SECONDS_MAX):
        failed = await supervisor.wait_failed()
    assert (failed.restarts, failed.exit_code, failed.pid) == (2, 3, None)
    assert [status.state for status in seen].count("restarting") == 2
    await supervisor.stop()
    assert supervisor.status("short").state == "failed"


async def test_a_process_that_ends_before_it_is_ready_stops_the_start() -> None:
    supervisor = Supervisor([ProcessSpec(name="short", argv=python("raise SystemExit(3)"), ready=_never)])
    with pytest.raises(SupervisionError, match="'short' did not start: exit code 3"):
        await supervisor.start()
    assert supervisor.status("short").pid is None


async def _never() -> bool:
    return False


async def test_a_final_exit_code_is_not_tried_again() -> None:
    supervisor = Supervisor([ProcessSpec(name="misconfigured", argv=python("raise SystemExit(78)"))])
    await supervisor.start()
    async with asyncio.timeout(SECONDS_MAX):
        failed = await supervisor.wait_for("misconfigured", "failed")
    assert (failed.restarts, failed.exit_code) == (0, 78)
    await supervisor.stop()


async def test_start_returns_when_each_process_is_ready_in_order(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    touch_late = "import sys, time, pathlib; time.sleep(0.2); pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"
    states_of_first_when_second_started: list[str] = []

    async def first_ready() -> bool:
        if not first.exists():
            raise ConnectionRefusedError("not there yet")
        return True

    async def second_ready() -> bool:
        states_of_first_when_second_started.append(supervisor.status("first").state)
        return second.exists()

    supervisor = Supervisor(
        [
            ProcessSpec(name="first", argv=[*python(touch_late), str(first)], ready=first_ready),
            ProcessSpec(name="second", argv=[*python(touch_late), str(second)], ready=second_ready),
        ]
    )
    async with supervisor:
        assert [status.state for status in supervisor.statuses()] == ["running", "running"]
        assert set(states_of_first_when_second_started) == {"running"}


async def test_a_process_that_does_not_get_ready_stops_the_start_and_all_others() -> None:
    supervisor = Supervisor(
        [
            ProcessSpec(name="good", argv=SLEEP),
            ProcessSpec(name="slow", argv=SLEEP, ready=_never, ready_seconds_max=0.2),
        ]
    )
    with pytest.raises(SupervisionError, match="'slow' did not start"):
        await supervisor.start()
    assert [status.state for status in supervisor.statuses()] == ["stopped", "stopped"]
    assert [status.pid for status in supervisor.statuses()] == [None, None]


async def test_stop_asks_first_and_kills_what_does_not_listen_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    polite = python(
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up'); "
        "sys.stdout.flush(); time.sleep(600)"
    )
    deaf = python(
        "import os, pathlib, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "child = subprocess.Popen([sys.executable, '-I', '-c', 'import time; time.sleep(600)']); "
        "path = pathlib.Path(sys.argv[1]); path.with_suffix('.new').write_text(f'{os.getpid()} {child.pid}'); "
        "path.with_suffix('.new').rename(path); time.sleep(600)"
    )
    log = tmp_path / "polite.log"

    async def polite_ready() -> bool:
        return "up" in log.read_text()

    async def deaf_ready() -> bool:
        return pids.exists()

    supervisor = Supervisor(
        [
            ProcessSpec(name="polite", argv=polite, log_file=log, ready=polite_ready),
            ProcessSpec(name="deaf", argv=[*deaf, str(pids)], ready=deaf_ready, stop_seconds_max=0.2),
        ]
    )
    async with supervisor:
        deaf_pid, grandchild_pid = map(int, pids.read_text().split())
        assert supervisor.status("deaf").pid == deaf_pid
    assert supervisor.status("polite").exit_code == 0
    assert supervisor.status("deaf").exit_code == -signal.SIGKILL
    await gone(grandchild_pid)


async def test_output_is_appended_to_the_log_and_a_long_log_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "talker.log"
    spec = ProcessSpec(
        name="talker",
        argv=python("import sys; print('out' * 20); print('err', file=sys.stderr); raise SystemExit(78)"),
        log_file=log,
        log_bytes_max=40,
    )
    for _ in range(2):
        supervisor = Supervisor([spec])
        await supervisor.start()
        async with asyncio.timeout(SECONDS_MAX):
            await supervisor.wait_for("talker", "failed")
        assert sorted(log.read_text().split()) == ["err", "out" * 20]
    assert sorted(log.with_name("talker.log.1").read_text().split()) == ["err", "out" * 20]


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    spec = ProcessSpec(name="missing", argv=["/no/such/program"], log_file=log, restarts_per_minute_max=0)
    supervisor = Supervisor([spec])
    await supervisor.start()
    async with asyncio.timeout(SECONDS_MAX):
        failed = await supervisor.wait_failed()
    assert failed.exit_code == 127
    assert "'/no/such/program' could not be started: No such file or directory" in log.read_text()


PARENT = """
import asyncio, sys
from hotswap_stream.application.processes.supervision import ProcessSpec, Supervisor

async def main():
    spec = ProcessSpec(name="child", argv=[sys.executable, "-c", "import time; time.sleep(600)"])
    async with Supervisor([spec]) as supervisor:
        print(supervisor.status("child").pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only the Linux kernel ties a child to its parent")
async def test_the_children_die_with_a_supervisor_that_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PARENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    async with asyncio.timeout(SECONDS_MAX):
        line = b""
        while not line.strip().isdigit():  # log lines come on the same stream
            line = await parent.stdout.readline()
            assert line
    child_pid = int(line)
    assert psutil.pid_exists(child_pid)
    parent.kill()
    await parent.wait()
    await gone(child_pid)
