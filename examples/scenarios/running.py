"""What all scenarios stand on: a hotswap-stream that is started for them, ways to ask it, and figures at the end."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np

from hotswap_stream.client import AsyncRegistryClient, RefusedError, RegistryClient

START_SECONDS_MAX = 120.0
WAIT_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
AT_ONCE = 32

Found = TypeVar("Found")


class Answers:
    """What came back for many requests, in their order."""

    def __init__(self, outputs: list[Mapping[str, Any] | None], versions: list[str | None], places: list[Any]) -> None:
        self.outputs = outputs
        self.versions = versions
        """Which version answered; None: an error."""
        self.places = places
        """Partition and offset of each request, as feedback names it."""

    @property
    def errors(self) -> int:
        """How many were refused."""
        return sum(version is None for version in self.versions)


class Stage:
    """A running hotswap-stream."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self.url = url
        self.client = RegistryClient(url, timeout_s=60.0)
        self.http = httpx.Client(base_url=url, timeout=60.0)
        self._environment = environment

    @property
    def kafka(self) -> str:
        """Bootstrap servers of its broker."""
        announced = json.loads((Path(self._environment["HOTSWAP_HOME"]) / "broker.json").read_text())
        return str(announced["bootstrap_servers"])

    def say(self, text: str) -> None:
        """Tell whoever watches."""
        print(f"· {text}", file=sys.stderr, flush=True)

    def command(self, *arguments: str, as_json: bool = True, may_fail: bool = False) -> Any:
        """Run a command of the command line; return the JSON it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "hotswap_stream.cli", *arguments, *(("--json",) if as_json else ())],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and not may_fail:
            raise RuntimeError(f"hotswap-stream {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout) if as_json else done.stdout

    def ask(self, model_name: str, requests: Sequence[Mapping[str, Any]], keys: Sequence[str] | None = None) -> Answers:
        """Ask a model many times, some requests at once; each request is one row."""
        return asyncio.run(self._ask(model_name, requests, keys))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Put a policy of a model."""
        return self._json(self.http.put(f"/api/models/{path}", json=body))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Give a command."""
        return self._json(self.http.post(f"/api/models/{path}", json=body))

    def get(self, path: str) -> Any:
        """Ask for what is there."""
        return self._json(self.http.get(path))

    def wait(self, what: str, look: Callable[[], Found | None]) -> Found:
        """Return what a look finds as soon as it finds something.

        Raises:
            TimeoutError: It does not, in time.
        """
        ends_s = time.monotonic() + WAIT_SECONDS_MAX
        while time.monotonic() < ends_s:
            found = look()
            if found:
                return found
            time.sleep(0.2)
        raise TimeoutError(f"{what}: not within {WAIT_SECONDS_MAX:g} s")

    def serves(self, model_name: str, version: str) -> None:
        """Wait until a version of a model answers."""
        self.wait(f"{version} of {model_name} serves", lambda: self._holds(model_name, version))

    def close(self) -> None:
        """Disconnect."""
        self.client.close()
        self.http.close()

    def _holds(self, model_name: str, version: str) -> bool:
        workers = self.get(f"/api/models/{model_name}/fleet")["workers"]
        held = [worker["versions"].get(version) for worker in workers]
        return any(each is not None and each["state"] in ("loaded", "serving") for each in held)

    def _json(self, response: httpx.Response) -> Any:
        if not response.is_success:
            raise RuntimeError(f"{response.request.method} {response.url}: {response.status_code} {response.text}")
        return response.json()

    async def _ask(self, model_name: str, requests: Sequence[Mapping[str, Any]], keys: Sequence[str] | None) -> Answers:
        turns = asyncio.Semaphore(AT_ONCE)
        outputs: list[Mapping[str, Any] | None] = [None] * len(requests)
        versions: list[str | None] = [None] * len(requests)
        places: list[Any] = [None] * len(requests)

        async with AsyncRegistryClient(self.url, timeout_s=60.0) as client:

            async def one(number: int) -> None:
                key = None if keys is None else keys[number]
                async with turns:
                    try:
                        answer = await client.infer(model_name, requests[number], routing_key=key)
                    except RefusedError:
                        return
                outputs[number], versions[number] = answer.outputs, answer.model_version
                places[number] = (answer.partition, answer.offset)

            await asyncio.gather(*(one(number) for number in range(len(requests))))
        return Answers(outputs, versions, places)


@contextmanager
def running(**settings: str) -> Iterator[Stage]:
    """Start hotswap-stream with a broker, agents, a worker and an API of its own; end it with the block."""
    with tempfile.TemporaryDirectory(prefix="hotswap-scenario-") as home:
        port = _free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
        environment = {
            **inherited,
            "HOTSWAP_HOME": home,
            "HOTSWAP_API_PORT": str(port),
            "HOTSWAP_API_OPEN": "loopback",
            "HOTSWAP_REQUEST_PARTITIONS": "1",
            **settings,
        }
        output = Path(home) / "up.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "hotswap_stream.cli", "up"], env=environment, stdout=file, stderr=file
            )
        stage = Stage(f"http://127.0.0.1:{port}", environment)
        try:
            _wait_ready(stage, process, output)
            yield stage
        finally:
            stage.close()
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def finish(name: str, began_s: float, figures: dict[str, Any], promises: dict[str, bool]) -> int:
    """Print the figures as JSON; return the exit code: 0 if all promises were held."""
    taken_s = round(time.monotonic() - began_s, 1)
    print(json.dumps({"scenario": name, "seconds": taken_s, "promises": promises, "figures": figures}, indent=2))
    return 0 if all(promises.values()) else 1


def rows_of(x: Any) -> list[dict[str, Any]]:
    """Return requests of one row each."""
    return [{"x": np.asarray(x[number : number + 1], np.float32)} for number in range(len(x))]


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def _wait_ready(stage: Stage, process: "subprocess.Popen[bytes]", output: Path) -> None:
    ends_s = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < ends_s and process.poll() is None:
        try:
            if stage.http.get("/api/health/ready").is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"hotswap-stream did not start:\n{output.read_text(errors='replace')}")
