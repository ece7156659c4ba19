"""`hotswap-stream up` as a process of its own, with a model that answers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.checkout import ROOT
from tests.support.samples.artifacts import linear_artifact

MODEL = "linear"
READY_SECONDS_MAX = 90.0
END_SECONDS_MAX = 60.0


class UpProcess:
    """Runs until `stop`; what it prints is in `output`."""

    def __init__(self, home: Path, port: int, output: Path, **settings: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._output = output
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
        self.environment = {
            **inherited,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "events"))),
            "HOTSWAP_HOME": str(home),
            "HOTSWAP_API_PORT": str(port),
            "HOTSWAP_API_OPEN": "loopback",
            "HOTSWAP_REQUEST_PARTITIONS": "1",
            "HOTSWAP_GRAPHS_EXPORTED": "false",  # seconds of each registration
            **settings,
        }
        with output.open("wb") as file:
            self.process = subprocess.Popen(self.command("up"), env=self.environment, stdout=file, stderr=file)

    @property
    def output(self) -> str:
        """All it has printed so far."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def command(self, *arguments: str) -> list[str]:
        """A command line of this checkout, by this interpreter."""
        return [sys.executable, "-c", "from hotswap_stream.cli import main; main()", *arguments]

    def start_command(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command beside it, with the same home."""
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run_command(self, *arguments: str) -> str:
        """Run a command beside it to its end, which must be a good one."""
        process = self.start_command(*arguments)
        output, errors = process.communicate(timeout=READY_SECONDS_MAX)
        assert process.returncode == 0, f"{arguments}: {output}{errors}"
        return output

    def broker(self) -> psutil.Process:
        """The JVM that runs now."""
        (found,) = [
            child
            for child in psutil.Process(self.process.pid).children()
            # Beside it, on a new machine, the cache for quick starts is made by another one.
            if child.name() == "java"
            and child.status() != psutil.STATUS_ZOMBIE
            and any("/kafka/node-" in argument for argument in child.cmdline())
        ]
        return found

    def serve_model(self, folder: Path) -> None:
        """Register a small model and put it into production."""
        artifact = folder / "linear.safetensors"
        artifact.write_bytes(linear_artifact())
        self.run_command("register", MODEL, str(artifact))
        self.run_command("switch", MODEL, "v1")
        self.wait(lambda: self.infer().status_code == 200, "an answer")

    def infer(self) -> httpx.Response:
        """Ask the model over HTTP."""
        body = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]}]}
        return httpx.post(f"{self.url}/v2/models/{MODEL}/infer", json=body, timeout=60.0)

    def switch(self) -> httpx.Response:
        """Give a command over HTTP."""
        return httpx.post(f"{self.url}/api/models/{MODEL}/switch", json={"model_version": "v1"}, timeout=60.0)

    def ready(self) -> httpx.Response:
        """Ask whether it is ready."""
        return httpx.get(f"{self.url}/api/health/ready", timeout=60.0)

    def wait(self, condition: Callable[[], bool], what: str, seconds_max: float = READY_SECONDS_MAX) -> None:
        """Wait until the condition holds; AssertionError with the output when it does not in time."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"`up` ended with {self.process.returncode}:\n{self.output}"
            try:
                if condition():
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"{what}: not within {seconds_max:g} s; `up` printed:\n{self.output}")


@contextmanager
def running_up(home: Path, port: int, output: Path, **settings: str) -> Iterator[UpProcess]:
    """`up` from the moment it is ready to the end of the block."""
    up = UpProcess(home, port, output, **settings)
    try:
        up.wait(lambda: "API on" in up.output, "the start of `up`")
        yield up
        up.process.send_signal(signal.SIGTERM)
        assert up.process.wait(END_SECONDS_MAX) == 0, up.output
    finally:
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait()


def loaded(process: "subprocess.Popen[str]", seconds_max: float) -> dict[str, Any]:
    """The report of a `loadtest … --json`."""
    output, errors = process.communicate(timeout=seconds_max)
    assert output, errors
    report: dict[str, Any] = json.loads(output)
    return report
