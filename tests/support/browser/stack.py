"""The API as a process of its own on the real broker, with keys, and models to look at."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from hotswap_stream.broker.ports import pick_free_ports
from tests.support.checkout import ROOT
from tests.support.processes.commands import environment_with, hotswap
from tests.support.samples.artifacts import linear_artifact
from tools.build_page import build

READY_SECONDS_MAX = 180.0
END_SECONDS_MAX = 30.0
KEY = "key-of-the-tests"


class BrowserStack:
    """One environment: an API that can be killed and started again, and commands that come from elsewhere."""

    def __init__(self, kafka: str, prefix: str, home: Path) -> None:
        self.port = pick_free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.kafka = kafka
        self.prefix = prefix
        self._home = home
        self._settings = {
            "HOTSWAP_KAFKA_BOOTSTRAP_SERVERS": kafka,
            "HOTSWAP_TOPIC_PREFIX": prefix,
            "HOTSWAP_HOME": str(home / "home"),
            "HOTSWAP_REQUEST_PARTITIONS": "1",
            "HOTSWAP_API_PORT": str(self.port),
            "HOTSWAP_API_KEYS": f"ada:{KEY}",
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.client = httpx.Client(base_url=self.url, headers={"X-API-Key": KEY}, timeout=60)
        self._artifacts = 0

    def start(self, *arguments: str) -> None:
        """Start a process, whose name is the first argument; what it says is in a file of that name."""
        with (self._home / f"{arguments[0]}.log").open("ab") as log:
            self._processes[arguments[0]] = subprocess.Popen(
                hotswap(*arguments), env=environment_with(self._settings), stdout=log, stderr=log
            )

    def process(self, name: str) -> "subprocess.Popen[bytes]":
        """The process that was started last under this name."""
        return self._processes[name]

    def end(self, name: str) -> None:
        """End a process, and wait for its end."""
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def start_api(self) -> None:
        """Start the API, and return when it is ready."""
        self.start("api")
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                if self.client.get("/readyz").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self._processes["api"].poll() is None, self.log("api")
            time.sleep(0.05)
        raise AssertionError(f"the API is not ready: {self.log('api')}")

    def kill_api(self) -> None:
        """End the API as a crash would."""
        self._processes["api"].kill()
        self._processes["api"].wait()

    def log(self, name: str) -> str:
        """What a process has said."""
        return (self._home / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-5_000:]

    def close(self) -> None:
        self.client.close()
        for process in self._processes.values():
            process.terminate()
        for name in list(self._processes):
            self.end(name)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command, as somebody else does beside the browser."""
        answer = self.client.post(path, json=body or {})
        assert answer.status_code < 300, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def get(self, path: str, **query: Any) -> Any:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, *arguments: str) -> str:
        """What a command of the command line prints."""
        environment = environment_with(self._settings)
        ended = subprocess.run(hotswap(*arguments), env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def first_message(self) -> Any:
        """What the live stream says first."""
        with self.client.stream("GET", "/api/live") as stream:
            lines = stream.iter_lines()
            data = next(line for line in lines if line.startswith("data:"))
        return json.loads(data.removeprefix("data:"))

    def registered(self, model: str) -> str:
        """One more version of a model, of an artifact that no other has; its name."""
        self._artifacts += 1
        content = linear_artifact(seed=self._artifacts)
        headers = {"Content-Type": "application/octet-stream"}
        uploaded = self.client.post("/api/artifacts", content=content, headers=headers)
        assert uploaded.status_code < 300, uploaded.text
        body = {"artifact_digest": uploaded.json()["artifact_digest"]}
        return str(self.post(f"/api/models/{model}/versions", body)["model_version"])

    def in_production(self, model: str) -> str:
        """One more version, put into production."""
        version = self.registered(model)
        self.post(f"/api/models/{model}/switch", {"model_version": version})
        return version


@contextmanager
def browser_stack(kafka: str, prefix: str, home: Path) -> Iterator[BrowserStack]:
    """The stack with its API, until the block ends."""
    build(ROOT)
    stack = BrowserStack(kafka, prefix, home)
    try:
        stack.start_api()
        yield stack
    finally:
        stack.close()
