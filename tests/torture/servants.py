"""The agents and the API of a run, and others: killed now and then, and looked at when all is over."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec

from hotswap_events.registry.state import RegistryState
from hotswap_events.topics import Topics
from hotswap_stream.application.processes.supervision import ProcessSpec, Supervisor
from hotswap_stream.broker.ports import pick_free_ports
from hotswap_stream.settings import Settings, child_environment
from tests.torture.request_kinds import MODEL
from tests.torture.topic_reading import TopicReader

READY_SECONDS_MAX = 90.0
_POLL_SECONDS = 0.2


class Servants:
    """All under one supervisor. `close` ends them."""

    def __init__(self, settings: Settings, log_folder: Path, names: Sequence[str] = ("agents", "api")) -> None:
        self.kills = 0
        self._settings = settings
        port = pick_free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}"
        environment = child_environment(msgspec.structs.replace(settings, api_port=port, api_open="loopback"))
        self._supervisor = Supervisor(
            [
                ProcessSpec(
                    name=name,
                    argv=[sys.executable, "-m", "hotswap_stream.cli", name],
                    env=environment,
                    log_file=log_folder / f"{name}.log",
                    restarts_per_minute_max=20,
                )
                for name in names
            ]
        )

    @property
    def unplanned_ends(self) -> int:
        """How often one of them ended though nobody killed it."""
        return sum(status.restarts for status in self._supervisor.statuses()) - self.kills

    async def start(self) -> None:
        """Start both; nobody waits until they are ready."""
        await self._supervisor.start()

    async def kill(self, name: str) -> None:
        """SIGKILL. One that is just being started again is waited for, before and after."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while (pid := self._supervisor.status(name).pid) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} does not run: {self._supervisor.status(name)}")
            await asyncio.sleep(_POLL_SECONDS)
        os.kill(pid, signal.SIGKILL)
        self.kills += 1
        while self._supervisor.status(name).pid == pid:
            await asyncio.sleep(_POLL_SECONDS)

    async def troubles(self, active_version: str | None, registry_offset: int) -> list[str]:
        """What the API still says wrong of the model, and the agents have not published, after they were given time to
        catch up."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        async with httpx.AsyncClient(base_url=self.url, timeout=10.0) as http:
            while True:
                wrong = await _wrong(http, active_version, registry_offset)
                published = await asyncio.to_thread(self._published)
                if published != active_version:
                    wrong.append(f"the agents have published {published} as the active version, not {active_version}")
                if not wrong or time.monotonic() > deadline:
                    return wrong
                await asyncio.sleep(_POLL_SECONDS)

    def _published(self) -> str | None:
        """The active version by the newest state that the agents published."""
        topic, newest = Topics(self._settings.topic_prefix).registry_state, None
        with TopicReader(str(self._settings.kafka_bootstrap_servers)) as reader:
            for message in reader.records(topic, 0, reader.end_offset(topic, 0)):
                if message.key() == MODEL.encode() and message.value() is not None:
                    newest = msgspec.json.decode(message.value() or b"", type=RegistryState).active_version
        return newest

    async def close(self) -> None:
        """End both."""
        await self._supervisor.stop()


async def _wrong(http: httpx.AsyncClient, active_version: str | None, registry_offset: int) -> list[str]:
    try:
        ready = await http.get("/api/health/ready")
        model = await http.get(f"/api/models/{MODEL}")
        status = await http.get("/api/status")
    except httpx.HTTPError as error:
        return [f"the API does not answer: {error!r}"]
    if {ready.status_code, model.status_code, status.status_code} != {200}:
        return [f"the API is not well: {ready.status_code} {ready.text[:200]}, {model.status_code}"]
    wrong = []
    if model.json()["active_version"] != active_version:
        wrong.append(f"the API says that {model.json()['active_version']} is active; it is {active_version}")
    if status.json()["registry_next_offset"] <= registry_offset:
        wrong.append(f"the API has folded the log up to {status.json()['registry_next_offset']}, not {registry_offset}")
    return wrong
