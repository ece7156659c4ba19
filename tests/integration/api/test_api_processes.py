"""Two API processes behind one port, on the real broker: who answers, what holds across both, and their ends."""

import asyncio
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from hotswap_events import headers as header_names
from hotswap_events.inference.messages import InferTensor
from hotswap_stream.settings import Settings, child_environment
from tests.support.processes.commands import environment_with, hotswap
from tests.support.stages.asking import INPUT
from tests.support.stages.hand_worker import Answer, HandWorker, Headers, answering, hand_worker
from tests.support.stages.serving import MODEL, open_stage, stage_settings

pytestmark = [pytest.mark.executed, pytest.mark.timeout(300)]

SECONDS_MAX = 90.0
KEY = "key-of-ci-and-no-other"
CONNECTIONS, REQUESTS_EACH = 8, 10
WRONG_KEYS_EACH = 3


def saying_its_key(headers: Headers) -> Answer:
    """An answer that tells its request from all others."""
    key = float(headers[header_names.ROUTING_KEY])
    outputs = [InferTensor(name="y", shape=[1, 2], datatype="FP32", data=[key, key])]
    return msgspec.structs.replace(answering("v1"), outputs=outputs)


async def staying_alive(worker: HandWorker) -> None:
    """Say so again and again: one record counts for ten seconds, and starting processes may take longer."""
    while True:
        await worker.say_alive()
        await asyncio.sleep(1)


class Processes:
    """The command that keeps them, and the address that they share."""

    def __init__(self, command: "subprocess.Popen[str]", url: str) -> None:
        self.command = command
        self.url = url

    def pid(self, number: int) -> int | None:
        """Of one of them, while it runs."""
        for child in psutil.Process(self.command.pid).children():
            try:
                arguments = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if arguments[-3:-1] == ["run-api-process", str(number)]:
                return int(child.pid)
        return None

    @asynccontextmanager
    async def connected(self, number: int, **options: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client whose connection came to this process: the system chooses, so it may take some."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                client = httpx.AsyncClient(
                    base_url=self.url,
                    headers=options,
                    timeout=SECONDS_MAX,
                    limits=httpx.Limits(max_connections=1, keepalive_expiry=None),
                )
                try:
                    answer = await client.get("/livez")
                    if answer.headers["x-api-process"] == str(number):
                        break
                except httpx.TransportError:  # it had just come to a process that ended
                    pass
                await client.aclose()
        try:
            yield client
        finally:
            await client.aclose()

    async def refused(self) -> int | None:
        """How many requests showed a wrong key, as all processes count them together; None while nobody says."""
        async with httpx.AsyncClient(base_url=self.url, timeout=SECONDS_MAX) as client:
            try:
                page = await client.get("/metrics")
            except httpx.TransportError:
                return None
        found = re.search(r'^hotswap_requests_not_permitted_total\{reason="unknown"\} (\d+)$', page.text, re.MULTILINE)
        return int(found.group(1)) if page.status_code == 200 and found else None

    async def until_refused(self, count: int) -> None:
        async with asyncio.timeout(SECONDS_MAX):
            while await self.refused() != count:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def two_processes(settings: Settings) -> AsyncIterator[Processes]:
    environment = environment_with(
        {name: value for name, value in child_environment(settings).items() if name.startswith("HOTSWAP_")}
    )
    command = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment
        hotswap("api", "--port", "0", "--processes", "2"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert command.stdout is not None
        line = await asyncio.to_thread(command.stdout.readline)
        assert line.startswith("API on http"), line or command.communicate()[1]
        yield Processes(command, line.split()[2].rstrip(";"))
    finally:
        if command.poll() is None:
            command.kill()
        command.communicate()


@asynccontextmanager
async def serving(kafka: str, home: Path) -> AsyncIterator[tuple[Processes, HandWorker]]:
    settings = msgspec.structs.replace(
        stage_settings(kafka, f"processes-{uuid.uuid4().hex[:12]}", home), api_keys=f"ci:{KEY}", api_open=None
    )
    async with open_stage(settings) as stage:
        await stage.register_answering(1.0)
        await stage.switch("v1")
        async with hand_worker(stage, saying_its_key) as worker:
            alive = asyncio.create_task(staying_alive(worker))
            try:
                async with two_processes(settings) as processes:
                    yield processes, worker
            finally:
                alive.cancel()


async def asked(client: httpx.AsyncClient, keys: range) -> list[str]:
    """Ask the model once for each key, and see that each answer is its own; who answered."""
    answered_by = []
    for key in keys:
        answer = await client.post(
            f"/v2/models/{MODEL}/infer",
            json={"inputs": [INPUT]},
            headers={header_names.ROUTING_KEY: str(key), "X-API-Key": KEY},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["outputs"][0]["data"] == [key, key]
        answered_by.append(answer.headers["x-api-process"])
    return answered_by


async def test_two_processes_are_one_api(kafka: str, tmp_path: Path) -> None:
    async with serving(kafka, tmp_path / "home") as (processes, worker):
        # Each request its own answer, by many connections.
        async with httpx.AsyncClient(base_url=processes.url, timeout=60) as shared, asyncio.TaskGroup() as group:
            for start in range(CONNECTIONS):
                first = start * REQUESTS_EACH
                group.create_task(asked(shared, range(first, first + REQUESTS_EACH)))
        assert len(worker.seen) == CONNECTIONS * REQUESTS_EACH

        async with processes.connected(1) as one, processes.connected(2) as two:
            assert set(await asked(one, range(1_000, 1_003))) == {"1"}
            assert set(await asked(two, range(2_000, 2_003))) == {"2"}

            # Whoever signs in at one is known to the other, and so is that he signed out.
            page = {"Sec-Fetch-Site": "same-origin"}
            signed_in = await one.post("/api/session", json={"key": KEY}, headers=page)
            assert signed_in.status_code == 201, signed_in.text
            cookie = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
            assert (await two.get("/api/session", headers=cookie)).json()["name"] == "ci"
            assert (await two.delete("/api/session", headers=cookie | page)).status_code == 204
            assert (await one.get("/api/session", headers=cookie)).json()["state"] == "signed-out"

            # What each counted is in one figure, whichever is asked.
            for client in (one, two):
                for _ in range(WRONG_KEYS_EACH):
                    assert (await client.get("/api/models", headers={"X-API-Key": "wrong"})).status_code == 401
            await processes.until_refused(2 * WRONG_KEYS_EACH)

            # One is killed: the other goes on, the killed one is there again, and what it had counted is kept.
            killed = processes.pid(1)
            assert killed is not None
            await asyncio.sleep(1.5)  # what is counted is left for others once a second
            os.kill(killed, signal.SIGKILL)
            assert set(await asked(two, range(3_000, 3_010))) == {"2"}
            async with processes.connected(1) as again:
                assert processes.pid(1) not in (None, killed)
                assert set(await asked(again, range(4_000, 4_003))) == {"1"}
            await processes.until_refused(2 * WRONG_KEYS_EACH)

            # Told to end, all end, and event streams are told.
            stream_headers = {"X-API-Key": KEY}
            async with two.stream("GET", "/api/events/stream", headers=stream_headers) as stream:
                pids = [processes.pid(1), processes.pid(2)]
                processes.command.send_signal(signal.SIGTERM)
                assert "event: end" in [line async for line in stream.aiter_lines()]
        _, errors = await asyncio.to_thread(processes.command.communicate, timeout=SECONDS_MAX)
        assert processes.command.returncode == 0, errors
        assert "Traceback" not in errors
        until_s = time.monotonic() + SECONDS_MAX
        while any(pid is not None and psutil.pid_exists(pid) for pid in pids):
            assert time.monotonic() < until_s
            await asyncio.sleep(0.05)
