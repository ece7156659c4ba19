"""Training runs that a server started end with it, whatever they left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.training import children
from hotswap_stream.application.training.children import TrainingChildren
from hotswap_stream.application.training.runs import TrainingSpec
from tests.support.stages.http import started_registry

LEAVES_SOMEBODY = """
import pathlib, subprocess, sys, time
left = subprocess.Popen(["sleep", "600"], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(str(left.pid))
time.sleep(600)
"""


async def test_a_run_whose_child_goes_on_holds_up_no_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the run's standard error, which the server reads to its end."""
    for name in ("ACCEPT_SECONDS_MAX", "STOP_SECONDS_MAX", "TAIL_SECONDS_MAX"):
        monkeypatch.setattr(children, name, 0.3)
    told = tmp_path / "pid"
    async with started_registry(MemoryRegistryLog(MemoryRegistry(SystemClock()))) as registry:
        command = (sys.executable, "-c", LEAVES_SOMEBODY, str(told))
        runs = TrainingChildren(command, dict(os.environ), registry)
        await runs.start(TrainingSpec(run_id="r", model_name="digits", architecture="linear", created_by="test"), None)
        while not told.exists() or not told.read_text():
            await asyncio.sleep(0.05)
        try:
            async with asyncio.timeout(60):
                await runs.stop()
        finally:
            os.kill(int(told.read_text()), signal.SIGKILL)
