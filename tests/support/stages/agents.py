"""The agents under a supervisor on the real broker, and what the outside sees of them: commands in, topics out."""

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from hotswap_events.commands import AnyCommand, CommandResult
from hotswap_events.registry.state import RegistryState
from hotswap_events.topics import Topics
from hotswap_stream.adapters.kafka.topic_admin import topic_partitions
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.processes.supervision import ProcessSpec, Supervisor
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.application.registry.view import registry_state
from hotswap_stream.kafka.connection import KafkaConnection

SECONDS_MAX = 60.0
Record: TypeAlias = ConsumerRecord[bytes, bytes]


class AgentsStage:
    """Built by `agents_stage`."""

    def __init__(self, servers: str, topics: Topics, supervisor: Supervisor, producer: AIOKafkaProducer) -> None:
        self.servers = servers
        self.topics = topics
        self.supervisor = supervisor
        self.producer = producer

    async def send(self, commands: Iterable[AnyCommand]) -> None:
        """Write commands as an outside producer would; returns when the broker has them all."""
        sent = [
            await self.producer.send(
                self.topics.commands, msgspec.json.encode(command), key=command.model_name.encode()
            )
            for command in commands
        ]
        await asyncio.gather(*sent)

    async def results(self, command_ids: Collection[str]) -> dict[str, list[CommandResult]]:
        """All results there are, once there is one for each of these ids; by command id, in order."""
        wanted = set(command_ids)
        found: dict[str, list[CommandResult]] = defaultdict(list)
        async with self._consumer(self.topics.command_results) as consumer, asyncio.timeout(SECONDS_MAX):
            while wanted:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    for record in records:
                        result = msgspec.json.decode(record.value or b"", type=CommandResult)
                        found[result.command_id].append(result)
                        wanted.discard(result.command_id)
        return found

    async def records(self, topic: str) -> list[Record]:
        """All records of a topic up to its present end, by partition and offset."""
        found: list[Record] = []
        async with self._consumer(topic) as consumer:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            for partition, end in ends.items():
                consumer.pause(*ends)
                consumer.resume(partition)
                while await consumer.position(partition) < end:
                    for records in (await consumer.getmany(partition, timeout_ms=200)).values():
                        found.extend(record for record in records if record.offset < end)
        return found

    async def fold(self) -> RegistryFold:
        """The log as it is now, folded by nobody but this test."""
        fold = RegistryFold()
        for record in await self.records(self.topics.registry):
            fold.apply(LogRecord(record.offset, record.timestamp, record.key, record.value))
        return fold

    async def published(self) -> dict[str, list[RegistryState]]:
        """The state topic as it is now, by model name."""
        states: dict[str, list[RegistryState]] = defaultdict(list)
        for record in await self.records(self.topics.registry_state):
            assert record.key is not None
            states[record.key.decode()].append(msgspec.json.decode(record.value or b"", type=RegistryState))
        return states

    async def published_like_the_fold(self) -> dict[str, list[RegistryState]]:
        """The state topic, once the last state of each model is the fold of the log."""
        expected = {name: registry_state(stream) for name, stream in (await self.fold()).streams.items()}
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                published = await self.published()
                if {name: states[-1] for name, states in published.items()} == expected:
                    return published
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def _consumer(self, topic: str) -> "AsyncIterator[AIOKafkaConsumer[bytes, bytes]]":
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.servers, group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            count = (await topic_partitions(KafkaConnection(bootstrap_servers=self.servers), [topic]))[topic]
            consumer.assign([TopicPartition(topic, partition) for partition in range(count)])
            await consumer.seek_to_beginning()
            yield consumer
        finally:
            await consumer.stop()


@asynccontextmanager
async def agents_stage(
    servers: str, prefix: str, folder: Path, *, module: str = "tests.support.processes.agents"
) -> AsyncIterator[AgentsStage]:
    """Agents that run, and are started again when they end. Their log is `agents.log` in the folder."""
    ready_file = folder / "ready"
    pid_said: list[str] = []

    async def ready() -> bool:
        """Each start writes its own process id; an older one is not news."""
        said = ready_file.read_text() if ready_file.exists() else ""
        if not said or said in pid_said:
            return False
        pid_said.append(said)
        return True

    (folder / "cwd").mkdir()
    spec = ProcessSpec(
        name="agents",
        argv=[sys.executable, "-m", module, servers, prefix, str(ready_file)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        folder=folder / "cwd",
        ready=ready,
        log_file=folder / "agents.log",
    )
    supervisor = Supervisor([spec])
    producer = AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, max_request_size=1_048_576)
    async with supervisor:
        await producer.start()
        try:
            yield AgentsStage(servers, Topics(prefix), supervisor, producer)
        finally:
            await producer.stop()


async def kill(stage_: AgentsStage) -> None:
    """SIGKILL; returns when the agents run again."""
    pid = stage_.supervisor.status("agents").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    ended = await stage_.supervisor.wait_for("agents", "restarting")
    assert ended.exit_code == -signal.SIGKILL
    await stage_.supervisor.wait_for("agents", "running")
