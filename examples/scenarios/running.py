"""What all scenarios stand on: a hotswap-stream that is started for them, ways to ask it, and figures at the end."""

import asyncio
import json
import os
import re
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

ROOT = Path(__file__).parents[2]
START_SECONDS_MAX = 240.0
WAIT_SECONDS_MAX = 240.0
ASKING_SECONDS_MAX = 240.0
"""A version is registered when it was tried, and its graph was made, in processes of their own."""
STOP_SECONDS_MAX = 120.0
LOOK_SECONDS = 0.2
AT_ONCE = 32
ATTEMPTS_MAX = 3

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

    def __init__(self, url: str, environment: dict[str, str], key: str | None = None) -> None:
        self.url = url
        self.key = key
        """The API key, where one is needed."""
        self.client = RegistryClient(url, key, timeout_s=ASKING_SECONDS_MAX)
        headers = {} if key is None else {"X-API-Key": key}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=ASKING_SECONDS_MAX)
        self._environment = environment

    @property
    def kafka(self) -> str:
        """Bootstrap servers of its broker."""
        announced = json.loads((Path(self._environment["HOTSWAP_HOME"]) / "broker.json").read_text())
        return str(announced["bootstrap_servers"])

    def say(self, text: str) -> None:
        """Tell whoever watches."""
        print(f"· {text}", file=sys.stderr, flush=True)

    def command(self, *arguments: str, as_json: bool = True, may_fail: bool = False, prefix: str | None = None) -> Any:
        """Run a command of the command line, in another environment where a prefix is given; return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "hotswap_stream.cli", *arguments, *(("--json",) if as_json else ())],
            env=self._of(prefix),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and not may_fail:
            raise RuntimeError(f"hotswap-stream {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout) if as_json else done.stdout

    @contextmanager
    def process(self, *arguments: str, prefix: str) -> Iterator[None]:
        """Let a process of another environment run beside, such as a worker; end it with the block."""
        output = Path(self._environment["HOTSWAP_HOME"]) / f"{prefix}.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "hotswap_stream.cli", *arguments, "--end-with-input"],
                env=self._of(prefix),
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
            )
        try:
            yield
        finally:
            _end(process)

    def program(self, path: str, *arguments: str) -> str:
        """Run a program of this repository as cron would, with the API's address and key; return what it prints."""
        environment = {**self._environment, "HOTSWAP_API_URL": self.url, "HOTSWAP_API_KEY": self.key or ""}
        done = subprocess.run(
            [sys.executable, str(ROOT / path), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{path} {' '.join(arguments)}: exit code {done.returncode}: {done.stderr}")
        return done.stdout

    def artifact(self, digest: str) -> Path:
        """Return where an artifact lies in the store."""
        hexadecimal = digest.partition(":")[2]
        folder = Path(self._environment["HOTSWAP_HOME"]) / "artifacts" / "sha256" / hexadecimal[:2]
        return folder / f"{hexadecimal}.safetensors"

    def damage(self, digest: str) -> None:
        """Change a byte of an artifact in the store, as a bad disk does."""
        path = self.artifact(digest)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.chmod(0o644)
        path.write_bytes(content)

    def without_key(self) -> httpx.Client:
        """Return a client that has no key."""
        return httpx.Client(base_url=self.url, timeout=ASKING_SECONDS_MAX)

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
            time.sleep(LOOK_SECONDS)
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

    def _of(self, prefix: str | None) -> dict[str, str]:
        return self._environment if prefix is None else {**self._environment, "HOTSWAP_TOPIC_PREFIX": prefix}

    def _json(self, response: httpx.Response) -> Any:
        if not response.is_success:
            raise RuntimeError(f"{response.request.method} {response.url}: {response.status_code} {response.text}")
        return response.json()

    async def _ask(self, model_name: str, requests: Sequence[Mapping[str, Any]], keys: Sequence[str] | None) -> Answers:
        turns = asyncio.Semaphore(AT_ONCE)
        outputs: list[Mapping[str, Any] | None] = [None] * len(requests)
        versions: list[str | None] = [None] * len(requests)
        places: list[Any] = [None] * len(requests)

        async with AsyncRegistryClient(self.url, self.key, timeout_s=ASKING_SECONDS_MAX) as client:

            async def one(number: int) -> None:
                key = None if keys is None else keys[number]
                async with turns:
                    for _attempt in range(ATTEMPTS_MAX):
                        try:
                            answer = await client.infer(model_name, requests[number], routing_key=key)
                            break
                        except RefusedError:
                            return
                        except httpx.TransportError:
                            # The API cuts connections off whose requests do not come, as from a starved client.
                            continue
                    else:
                        return
                outputs[number], versions[number] = answer.outputs, answer.model_version
                places[number] = (answer.partition, answer.offset)

            await asyncio.gather(*(one(number) for number in range(len(requests))))
        return Answers(outputs, versions, places)


@contextmanager
def running(
    *options: str, command: str = "up", keyed: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[Stage]:
    """Start hotswap-stream with a broker, agents, a worker, a runner and an API of its own; end it with the block.

    Args:
        options: Of the command.
        command: `up`, or `serve`.
        keyed: Whether the API needs a key; else it is open to this machine.
        settings: Environment variables.
    """
    with tempfile.TemporaryDirectory(prefix="hotswap-scenario-") as home:
        port = _free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOTSWAP_")}
        environment = {
            **inherited,
            "HOTSWAP_HOME": home,
            "HOTSWAP_API_PORT": str(port),
            **({} if keyed else {"HOTSWAP_API_OPEN": "loopback"}),
            "HOTSWAP_REQUEST_PARTITIONS": "1",
            # Somebody waits for what is trained; where nobody does, runs stand back behind other processes.
            "HOTSWAP_TRAINER_NICENESS": "0",
            **(settings or {}),
        }
        output = Path(home) / "up.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                # Whatever ends this program, also kill -9, closes the pipe, and ends what it started.
                [sys.executable, "-m", "hotswap_stream.cli", command, *options, "--end-with-input", "--temporary"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
            )
        stage = None
        try:
            key = _ready(f"http://127.0.0.1:{port}", process, output, keyed=keyed)
            stage = Stage(f"http://127.0.0.1:{port}", environment, key)
            yield stage
        finally:
            if stage is not None:
                stage.close()
            _end(process)


def finish(name: str, began_s: float, figures: dict[str, Any], promises: dict[str, bool]) -> int:
    """Print the figures as JSON; return the exit code: 0 if all promises were held."""
    taken_s = round(time.monotonic() - began_s, 1)
    print(json.dumps({"scenario": name, "seconds": taken_s, "promises": promises, "figures": figures}, indent=2))
    return 0 if all(promises.values()) else 1


def rows_of(x: Any) -> list[dict[str, Any]]:
    """Return requests of one row each."""
    return [{"x": np.asarray(x[number : number + 1], np.float32)} for number in range(len(x))]


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


def _ready(url: str, process: "subprocess.Popen[bytes]", output: Path, *, keyed: bool) -> str | None:
    """Wait until the API is ready; return its first key, where one is needed."""
    ends_s = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < ends_s and process.poll() is None:
        shown = re.search(r"HOTSWAP_API_KEY=(\S+)", output.read_text(errors="replace"))
        try:
            if httpx.get(f"{url}/api/health/ready").is_success and (shown is not None or not keyed):
                return None if shown is None else shown.group(1)
        except httpx.HTTPError:
            pass
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"hotswap-stream did not start:\n{output.read_text(errors='replace')}")
