"""A whole environment in processes of its own: worker, agents and API, two models, a rollout that is fed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from hotswap_events.commands import RegisterVersion, SwitchVersion
from hotswap_events.registry.events import Provenance
from hotswap_stream import bootstrap
from hotswap_stream.application.processes.supervision import ProcessSpec, Supervisor
from hotswap_stream.broker.ports import pick_free_ports
from hotswap_stream.errors import HotswapError
from hotswap_stream.home import pulse
from hotswap_stream.settings import Settings, child_environment
from tests.hostile.bases import OTHER, World
from tests.hostile.places import HOSTAGE, MODEL, PLACES, WINDOW_MODEL, Process
from tests.hostile.watch import TopicWatch
from tests.hostile.wire import Wire
from tests.support.stages.serving import Stage, artifact_answering, open_stage
from tests.support.stages.windows import mean_artifact
from tests.torture.topic_reading import LOG_LEVEL

WORKER = "w1"
_CALLED: dict[Process, str] = {"worker": WORKER, "agents": "1", "api": "api"}
BYSTANDER = f"{OTHER}.responses.{MODEL}"
"""A topic of another environment, into which nothing may be written."""
READY_SECONDS_MAX = 120.0
ANSWER_SECONDS_MAX = 60.0
"""How long the API may take. Measuring a version is asked for among the rest; the answer comes once it is measured."""
PARTITIONS = 2
ASKED_TIMES = 20
ASK_AGAIN_SECONDS = 0.5
_POLL_SECONDS = 0.1
_WITH_SIGN: tuple[Process, ...] = ("worker", "agents")
_TOLD_LEVELS = (b"warning", b"error")


class HostileStage:
    """Built by `hostile_stage`. `expected_ends`: how often each process was killed here."""

    def __init__(self, stage: Stage, supervisor: Supervisor, http: httpx.AsyncClient, wire: Wire) -> None:
        self.stage = stage
        self.settings = stage.settings
        self.topics = stage.topics
        self.supervisor = supervisor
        self.http = http
        self.wire = wire
        self.world = World(topics=stage.topics, fold=stage.registry.fold, request_ends=(0,) * PARTITIONS)
        self.expected_ends: dict[Process, int] = {"worker": 0, "agents": 0, "api": 0}
        self.watch = self._watching()
        self._ends = Consumer({"bootstrap.servers": self.servers, "group.id": "hostile-ends", "log_level": LOG_LEVEL})
        self._stray_end: int | None = None

    async def end_of(self, topic: str, partition: int) -> int:
        """The offset that its next record will have."""
        for left in reversed(range(ASKED_TIMES)):
            try:
                found = await asyncio.to_thread(self._ends.get_watermark_offsets, TopicPartition(topic, partition), 10)
            except KafkaException as error:
                # A broker that is back has no leaders for a moment.
                if not left or not error.args[0].retriable():
                    raise
                await asyncio.sleep(ASK_AGAIN_SECONDS)
            else:
                return int(found[1])
        raise AssertionError

    def close(self) -> None:
        """Disconnect."""
        self._ends.close()

    async def strays(self) -> int:
        """Records that came into the other environment's topics since the last look."""
        ends = sum([await self.end_of(BYSTANDER, partition) for partition in range(PARTITIONS)])
        before, self._stray_end = self._stray_end, ends
        return 0 if before is None else ends - before

    @property
    def servers(self) -> str:
        """Bootstrap servers."""
        return str(self.settings.kafka_bootstrap_servers)

    def log_of(self, process: Process) -> Path:
        """What the process printed."""
        return self.settings.home / "logs" / f"{process}.log"

    def told(self) -> int:
        """Lines of warnings and errors in the logs so far."""
        paths = [self.log_of(name) for name in self.expected_ends]
        lines = (line for path in paths if path.exists() for line in path.read_bytes().splitlines())
        return sum(any(level in line for level in _TOLD_LEVELS) for line in lines)

    def ended(self) -> list[str]:
        """Processes that ended though nobody here ended them."""
        found = []
        for name, expected in self.expected_ends.items():
            status = self.supervisor.status(name)
            ends = status.restarts + (status.state == "failed") - expected
            if ends > 0:
                found.append(f"the {name} ended {ends} times (exit code {status.exit_code}): {self.tail(name)}")
        return found

    def tail(self, process: Process, lines: int = 4) -> str:
        """The last that the process said."""
        path = self.log_of(process)
        said = path.read_text(errors="replace").splitlines() if path.exists() else []
        return " / ".join(line.strip()[:300] for line in said[-lines:])

    async def restart(self, processes: tuple[Process, ...]) -> None:
        """Kill with -9 and wait until they work again. TimeoutError."""
        async with asyncio.timeout(READY_SECONDS_MAX):
            for name in processes:
                pid = self.supervisor.status(name).pid
                if pid is None:
                    continue
                self.expected_ends[name] += 1
                os.kill(pid, signal.SIGKILL)
                _sign(self.settings, name).unlink(missing_ok=True)  # it must leave a new one
                while self.supervisor.status(name).pid == pid:
                    await asyncio.sleep(_POLL_SECONDS)
            for name in processes:
                while self.supervisor.status(name).state != "running":
                    if self.supervisor.status(name).state == "failed":
                        return  # `ended` tells
                    await asyncio.sleep(_POLL_SECONDS)

    async def unwell(self) -> list[str]:
        """What health says is wrong."""
        found = [
            f"{name} is not healthy: {why}"
            for name in _WITH_SIGN
            if (why := _why_unwell(self.settings, name)) is not None
        ]
        for path in ("/api/health/ready", f"/v2/models/{MODEL}/ready"):
            try:
                answer = await self.http.get(path)
                if answer.status_code != 200:
                    found.append(f"{path}: {answer.status_code} {answer.text[:200]}")
            except httpx.HTTPError as error:
                found.append(f"{path}: {error!r}")
        return found

    def _watching(self) -> TopicWatch:
        topics = self.topics
        counts = {place.topic(topics): place.partitions for place in PLACES}
        watched = [topics.responses(MODEL), topics.command_results, topics.dead_letters, topics.registry_state]
        every = {name: counts[name] for name in watched}
        return TopicWatch(self.servers, every | {topics.responses(WINDOW_MODEL): PARTITIONS}, self.wire.hostile)


def _sign(settings: Settings, name: Process) -> Path:
    return settings.home / pulse.FOLDER / f"{name}-{_CALLED[name]}"


def _why_unwell(settings: Settings, name: Process) -> str | None:
    try:
        pulse.check(settings.home, "worker" if name == "worker" else "agents", _CALLED[name])
    except HotswapError as error:
        return str(error)
    return None


@asynccontextmanager
async def hostile_stage(settings: Settings) -> AsyncIterator[HostileStage]:
    """Everything runs and answers; nothing is left behind."""
    settings = msgspec.structs.replace(
        settings,
        request_partitions=PARTITIONS,
        api_port=pick_free_ports(1)[0],
        api_open="loopback",
        api_infer_timeout_ms=5_000,
    )
    settings.home.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(open_stage(settings))
        await _prepare(stage)
        await asyncio.to_thread(_create_bystander, str(settings.kafka_bootstrap_servers))
        url = f"http://127.0.0.1:{settings.api_port}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS_MAX))
        wire = await stack.enter_async_context(Wire(str(settings.kafka_bootstrap_servers)))
        supervisor = await stack.enter_async_context(Supervisor(_specs(settings, http)))
        hostile = HostileStage(stage, supervisor, http, wire)
        stack.callback(hostile.close)
        stack.enter_context(hostile.watch)
        await hostile.strays()
        yield hostile


async def _prepare(stage: Stage) -> None:
    await stage.register_answering(1.0)
    await stage.register_answering(2.0)
    await stage.switch("v1")
    for model_name, content in ((WINDOW_MODEL, mean_artifact()), (HOSTAGE, artifact_answering(3.0))):
        artifact = await stage.store.put_artifact(content)
        provenance = Provenance(origin="imported", created_by="test")
        meta = {**stage.meta(), "model_name": model_name}
        await stage.command(RegisterVersion(**meta, artifact=artifact, provenance=provenance))
        if model_name == WINDOW_MODEL:
            await stage.command(SwitchVersion(**{**stage.meta(), "model_name": model_name}, model_version="v1"))
    await bootstrap.model_topics_creator(stage.settings, windows=True)(WINDOW_MODEL)


def _create_bystander(servers: str) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    if BYSTANDER not in admin.list_topics(timeout=60).topics:
        for future in admin.create_topics([NewTopic(BYSTANDER, PARTITIONS, 1)]).values():
            future.result()


def _specs(settings: Settings, http: httpx.AsyncClient) -> list[ProcessSpec]:
    environment = child_environment(settings) | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HOTSWAP_LOG_FORMAT": "json",
    }

    def spec(name: Process, *arguments: str) -> ProcessSpec:
        async def ready() -> bool:
            if name == "api":
                return (await http.get("/api/health/ready")).status_code == 200
            return _why_unwell(settings, name) is None

        return ProcessSpec(
            name=name,
            argv=[sys.executable, "-m", "hotswap_stream.cli", *arguments],
            env=environment,
            ready=ready,
            ready_seconds_max=READY_SECONDS_MAX,
            restarts_per_minute_max=1_000,
            backoff_seconds_max=0.5,
            log_file=settings.home / "logs" / f"{name}.log",
            log_bytes_max=1024**3,
        )

    models = ("--model", MODEL, "--model", WINDOW_MODEL)
    return [spec("worker", "worker", "--name", WORKER, *models), spec("agents", "agents"), spec("api", "api")]
