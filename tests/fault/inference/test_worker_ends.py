"""A worker that is told to end while it starts: it waits for nothing that nobody needs any more.

Each of these would end by force, and with another exit code, if it waited: half a minute after it was told to.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hotswap_stream.settings import Settings, child_environment
from tests.support.processes.commands import environment_with, running
from tests.support.stages.serving import open_stage, stage_settings

pytestmark = pytest.mark.executed

SECONDS_MAX = 90.0
NEVER_IMPORTED = """
import pathlib, time
pathlib.Path({marker!r}).touch()
while True:
    time.sleep(0.1)
"""


async def _ended(process: "subprocess.Popen[str]") -> int:
    process.send_signal(signal.SIGTERM)
    return await asyncio.to_thread(process.wait, SECONDS_MAX)


@asynccontextmanager
async def _listening(heard: asyncio.Event, port: int) -> AsyncIterator[None]:
    """A broker that takes connections and says nothing."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()


async def test_it_does_not_wait_for_a_thread_that_imports(kafka: str, topic_prefix: str, tmp_path: Path) -> None:
    settings: Settings = stage_settings(kafka, topic_prefix, tmp_path / "home")
    marker, modules = tmp_path / "importing", tmp_path / "modules"
    (modules / "torch").mkdir(parents=True)
    (modules / "torch" / "__init__.py").write_text(NEVER_IMPORTED.format(marker=str(marker)))
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        environment = environment_with(child_environment(settings))
        environment["PYTHONPATH"] = os.pathsep.join((str(modules), environment["PYTHONPATH"]))
        with running(environment, "worker", "--name", "w1") as worker:
            async with asyncio.timeout(SECONDS_MAX):
                while not marker.exists():
                    assert worker.poll() is None, worker.communicate()
                    await asyncio.sleep(0.05)
            assert await _ended(worker) == 0, worker.communicate()


async def test_it_does_not_wait_for_a_broker_that_says_nothing(tmp_path: Path, unused_tcp_port: int) -> None:
    heard = asyncio.Event()
    environment = environment_with(
        {"HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{unused_tcp_port}", "HOTSWAP_HOME": str(tmp_path)}
    )
    async with _listening(heard, unused_tcp_port):
        with running(environment, "worker", "--name", "w1") as worker:
            async with asyncio.timeout(SECONDS_MAX):
                await heard.wait()
            assert await _ended(worker) == 0, worker.communicate()
