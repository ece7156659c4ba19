"""A stage for worker tests on the real broker: versions of a tiny model that tell themselves apart, and its topics.

`linear` with zero weights answers its bias: version k answers [k, k], whatever goes in.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from torch import nn

from hotswap_events.commands import AnyCommand, CommandResult, RegisterVersion, RollBack, SwitchVersion
from hotswap_events.registry.events import ArtifactFacts, Provenance
from hotswap_events.registry.state import CircuitPosition
from hotswap_events.registry.version_options import VersionOptions
from hotswap_stream import bootstrap
from hotswap_stream.adapters.torch.modules.architectures import manifest_of
from hotswap_stream.adapters.torch.modules.saving import save_module
from hotswap_stream.application.artifacts.file import digest_hex
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.kafka.reading import read_all
from hotswap_stream.settings import Settings
from tests.support.samples.partitions import PARTITIONS as PARTITIONS

MODEL = "tiny"
FOLLOWED_PARTITIONS = 4
"""Partitions of the topics that agents follow, such as that of the feedback."""


def artifact_answering(value: float) -> bytes:
    """An artifact whose every answer is [value, value]."""
    module = nn.Linear(4, 2)
    nn.init.zeros_(module.weight)
    nn.init.constant_(module.bias, value)
    return save_module(module, manifest_of("linear", {}))


def request_body(request_id: str | None = None, **changes: Any) -> bytes:
    """A right request, or one made wrong by `changes` to its only input."""
    tensor = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1.0, 2.0, 3.0, 4.0]} | changes
    return json.dumps({"id": request_id, "inputs": [tensor]}).encode()


class Stage:
    """One model on the broker: commands to it, requests to it, answers of it."""

    def __init__(self, settings: Settings, registry: Registry, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self.registry = registry
        self.topics = bootstrap.topics(settings)
        self.store = bootstrap.artifact_store(settings)
        self._producer = producer
        self._commands = 0

    async def command(self, command: AnyCommand) -> CommandResult:
        result = await self.registry.handle(command)
        assert result.status == "accepted", result
        return result

    def meta(self) -> dict[str, Any]:
        self._commands += 1
        return {"command_id": f"test-{self._commands}", "actor": "test", "model_name": MODEL}

    async def register(
        self,
        artifact: ArtifactFacts,
        *,
        graph: ArtifactFacts | None = None,
        options: VersionOptions | None = None,
    ) -> str:
        provenance = Provenance(origin="imported", created_by="test")
        result = await self.command(
            RegisterVersion(**self.meta(), artifact=artifact, graph=graph, options=options, provenance=provenance)
        )
        assert result.model_version is not None
        return result.model_version

    async def register_answering(self, value: float) -> str:
        return await self.register(await self.store.put_artifact(artifact_answering(value)))

    async def switch(self, model_version: str, *, allow_signature_change: bool = False) -> CommandResult:
        return await self.command(
            SwitchVersion(**self.meta(), model_version=model_version, allow_signature_change=allow_signature_change)
        )

    async def roll_back(self) -> CommandResult:
        return await self.command(RollBack(**self.meta()))

    async def send(
        self,
        value: bytes | None,
        *,
        partition: int = 0,
        headers: Sequence[tuple[str, bytes]] = (),
        key: bytes | None = None,
    ) -> int:
        """Send one request; its offset."""
        batch = self._producer.create_batch()
        assert batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is not None
        batch.close()
        sent = await self._producer.send_batch(batch, self.topics.requests(MODEL), partition=partition)
        return int((await sent).offset)

    async def put(
        self,
        topic: str,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        *,
        partition: int = 0,
    ) -> int:
        """Write any record into any topic; its offset."""
        sent = await self._producer.send_and_wait(topic, value, key=b"k", partition=partition, headers=list(headers))
        return int(sent.offset)

    async def answers(
        self, count: int, *, partition: int = 0, seconds_max: float = 60.0
    ) -> list["ConsumerRecord[bytes, bytes]"]:
        """The first `count` answers in a partition."""
        return await self.records(self.topics.responses(MODEL), partition, count, seconds_max)

    async def records(
        self, topic: str, partition: int | None, count: int, seconds_max: float = 60.0
    ) -> list["ConsumerRecord[bytes, bytes]"]:
        """The first `count` records of a topic, in one partition or (None) in all four."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap_servers,
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        try:
            numbers = range(FOLLOWED_PARTITIONS) if partition is None else [partition]
            consumer.assign([TopicPartition(topic, number) for number in numbers])
            found: list[ConsumerRecord[bytes, bytes]] = []
            try:
                async with asyncio.timeout(seconds_max):
                    while len(found) < count:
                        for records in (await consumer.getmany(timeout_ms=200)).values():
                            found.extend(records)
            except TimeoutError:
                raise AssertionError(f"{topic}: {len(found)} of {count} records within {seconds_max} s") from None
            return found
        finally:
            await consumer.stop()

    async def records_now(self, topic: str) -> list["ConsumerRecord[bytes, bytes]"]:
        """All records of a topic up to its present end, in all four partitions."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap_servers, group_id=None, isolation_level="read_committed"
        ) as consumer:
            partitions = [TopicPartition(topic, number) for number in range(FOLLOWED_PARTITIONS)]
            return [record async for _partition, records in read_all(consumer, partitions) for record in records]

    @asynccontextmanager
    async def reading(self, partitions: int = PARTITIONS) -> AsyncIterator["Answers"]:
        """All answers of the model as they come, from the first on."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap_servers,
            group_id=None,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        consumer.assign([TopicPartition(self.topics.responses(MODEL), number) for number in range(partitions)])
        answers = Answers(consumer, partitions)
        task = asyncio.create_task(answers.read())
        try:
            yield answers
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await consumer.stop()


class Answers:
    """Answers by partition, in order."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: int) -> None:
        self.by_partition: list[list[dict[str, Any]]] = [[] for _ in range(partitions)]
        self._consumer = consumer

    async def read(self) -> None:
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=200)).items():
                self.by_partition[partition.partition].extend(body(record) for record in records)

    async def until(self, true: Callable[[], bool], seconds_max: float = 60.0) -> None:
        async with asyncio.timeout(seconds_max):
            while not true():
                await asyncio.sleep(0.01)

    async def until_count(self, count: int) -> None:
        """Until every partition has exactly that number of answers."""
        await self.until(lambda: all(len(answers) == count for answers in self.by_partition))

    async def until_chosen_by(self, registry_offset: int | None) -> None:
        """Until the last answer in every partition was chosen by this registry event."""
        await self.until(
            lambda: all(
                answers and answers[-1]["parameters"].get("registry_offset") == registry_offset
                for answers in self.by_partition
            )
        )


def body(record: "ConsumerRecord[bytes, bytes]") -> dict[str, Any]:
    """A JSON answer."""
    decoded: dict[str, Any] = msgspec.json.decode(record.value)
    return decoded


def headers(record: "ConsumerRecord[bytes, bytes]") -> Mapping[str, bytes]:
    return dict(record.headers)


def stage_settings(kafka: str, topic_prefix: str, home: Path) -> Settings:
    torch.set_num_threads(1)
    return Settings(
        kafka_bootstrap_servers=kafka,
        topic_prefix=topic_prefix,
        home=home,
        request_partitions=PARTITIONS,
        api_open="loopback",
        graphs_exported=False,  # seconds of each registration
    )


@asynccontextmanager
async def open_stage(settings: Settings) -> AsyncIterator[Stage]:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        linger_ms=0,
        acks="all",
        max_request_size=16 * 1024**2,
        max_batch_size=16 * 1024**2,
    )
    await producer.start()
    try:
        async with bootstrap.open_registry(settings, "test") as registry:
            yield Stage(settings, registry, producer)
    finally:
        await producer.stop()


async def damage(stage: Stage, artifact: ArtifactFacts) -> None:
    """Change the last byte of a stored artifact."""
    hexadecimal = digest_hex(artifact.digest)
    path = stage.settings.home / "artifacts" / "sha256" / hexadecimal[:2] / f"{hexadecimal}.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x01
    path.chmod(0o644)
    path.write_bytes(content)


def circuit_position(stage: Stage) -> CircuitPosition:
    """Return where the circuit of v2 stands."""
    circuit = stage.registry.state(MODEL).serving.circuits.get("v2")
    return "closed" if circuit is None else circuit.position
