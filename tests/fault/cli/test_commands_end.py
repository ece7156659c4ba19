"""Commands end when their time is up and when they are told to, with a broker or without."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from hotswap_stream import bootstrap
from hotswap_stream.broker import EmbeddedKafka
from tests.support.checkout import ROOT
from tests.support.stages.serving import MODEL, open_stage, stage_settings

pytestmark = pytest.mark.executed

END_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 120.0


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedKafka, dict[str, str]]]:
    """A broker, a worker that answers, and the environment of commands beside them."""
    async with EmbeddedKafka() as broker:
        settings = stage_settings(broker.bootstrap_servers, "ending", tmp_path)
        async with open_stage(settings) as stage:
            await stage.register_answering(1.0)
            await stage.switch("v1")
            worker = await bootstrap.build_worker(settings, "w1")
            await worker.start()
            try:
                yield (
                    broker,
                    {
                        **{name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")},
                        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events"))),
                        "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
                        "HOTSWAP_TOPIC_PREFIX": "ending",
                        "HOTSWAP_HOME": str(settings.home),
                        "HOTSWAP_REQUEST_PARTITIONS": str(settings.request_partitions),
                    },
                )
            finally:
                await broker.nodes[0].start()
                await worker.stop()


def start(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """Start a load test."""
    return subprocess.Popen(
        [sys.executable, "-c", "from hotswap_stream.cli import main; main()", "loadtest", MODEL, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def begun(environment: dict[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """A load test that has told of its first answers."""
    process = start(environment, *arguments)
    assert process.stderr is not None
    line = await asyncio.to_thread(process.stderr.readline)
    assert "answers/s" in line, line
    return process


async def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and output of a process that ends; it is killed when it does not."""
    try:
        output, errors = await asyncio.to_thread(process.communicate, timeout=END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        await asyncio.to_thread(process.communicate)
        raise
    return process.returncode, output + errors


@pytest.mark.timeout(300)
async def test_load_tests_end_with_their_time_and_when_told_to_though_the_broker_is_gone(
    served: tuple[EmbeddedKafka, dict[str, str]],
) -> None:
    """They were still there minutes after their time was up, and minutes after SIGTERM."""
    broker, environment = served
    endless = ("--rate", "50", "--seconds", "600", "--timeout", "600")
    told = {number: await begun(environment, *endless) for number in (signal.SIGTERM, signal.SIGINT)}
    timed = await begun(environment, "--rate", "50", "--seconds", "15", "--timeout", "3")
    await broker.nodes[0].kill()
    await asyncio.sleep(1)
    for number, process in told.items():
        process.send_signal(number)
    for process in told.values():
        _, output = await ended(process)
        assert "(interrupted)" in output
    code, output = await ended(timed)
    assert code == 1, output
    assert "timeout:" in output


def stubborn(end_seconds_max: float, *, waits_on: bool = True) -> "subprocess.Popen[str]":
    """A command that is told to stop, and waits on, as for a broker that is gone; it holds a pipe as standard input."""
    program = f"""
        import asyncio
        from hotswap_stream.cli.terminal.signals import stop_on_signals

        async def main():
            stop = stop_on_signals(end_seconds_max={end_seconds_max}, with_input=True)
            print("ready", flush=True)
            await stop.wait()
            print("told", flush=True)
            while {waits_on}:
                await asyncio.sleep(0.1)

        asyncio.run(main())
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events")))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_does_not_end_by_itself_is_ended() -> None:
    process = stubborn(0.5)
    process.terminate()
    output, errors = process.communicate(timeout=END_SECONDS_MAX)
    assert output == "told\n"
    assert process.returncode == 1
    assert "error: not ended 0.5 s after it was told to" in errors


def test_a_second_signal_ends_at_once() -> None:
    process = stubborn(3_600.0)
    process.terminate()
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"
    deadline = time.monotonic() + END_SECONDS_MAX
    while process.poll() is None and time.monotonic() < deadline:
        process.terminate()
        time.sleep(0.05)
    process.communicate(timeout=END_SECONDS_MAX)
    assert process.returncode == -signal.SIGTERM


def test_the_end_of_its_input_ends_it_and_what_comes_in_before_does_not() -> None:
    process = stubborn(3_600.0, waits_on=False)
    assert process.stdin is not None
    process.stdin.write("go on\n" * 2_000)
    process.stdin.flush()
    assert process.poll() is None
    output, errors = process.communicate(timeout=END_SECONDS_MAX)
    assert (process.returncode, output, errors) == (0, "told\n", "")


@pytest.mark.timeout(300)
def test_a_scenario_that_is_killed_leaves_nothing_running() -> None:
    """Neither its broker nor a worker beside it; and no data of the broker."""
    program = """
        import os
        import signal
        from examples.scenarios.running import running

        with running("--trainers", "0") as stage, stage.process("worker", "--name", "beside", prefix="other"):
            print(os.environ["TMPDIR"], flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    """
    with tempfile.TemporaryDirectory(prefix="killed-") as folder:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
        killed = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env={**inherited, "TMPDIR": folder, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events")))},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (killed.returncode, killed.stdout.strip()) == (-signal.SIGKILL, folder), killed.stderr
        left = _processes_of(folder)
        assert len(left) >= 5, "broker, its guard, agents, API and two workers"
        _gone, alive = psutil.wait_procs(left, timeout=STOP_SECONDS_MAX)
        assert alive == []


def _processes_of(folder: str) -> list[psutil.Process]:
    """Those whose temporary files are in a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR") == folder:
                found.append(process)
    return found
