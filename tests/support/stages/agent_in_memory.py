"""A registry on a log in memory and a publisher that keeps what it is given: the surroundings of an agent."""

from collections.abc import Sequence

import msgspec

from hotswap_events.commands import AnyCommand, CommandResult
from hotswap_events.registry.state import RegistryState
from hotswap_events.topics import Topics
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.topics.records import InboundRecord, OutboundRecord
from hotswap_stream.errors import LogUnavailableError
from tests.support.samples.registry import CountingIds

TOPICS = Topics("unit")


class KeepingPublisher:
    """Keeps the records; refuses them all while `down`."""

    def __init__(self) -> None:
        self.records: list[OutboundRecord] = []
        self.down = False

    async def publish(self, record: OutboundRecord) -> None:
        if self.down:
            raise LogUnavailableError("no broker")
        self.records.append(record)

    def on(self, topic: str) -> list[OutboundRecord]:
        """The records for one topic."""
        return [record for record in self.records if record.topic == topic]

    def results(self) -> list[CommandResult]:
        """The command results, decoded."""
        return [
            msgspec.json.decode(record.value or b"", type=CommandResult) for record in self.on(TOPICS.command_results)
        ]

    def states(self) -> list[RegistryState]:
        """The registry states, decoded."""
        return [
            msgspec.json.decode(record.value or b"", type=RegistryState) for record in self.on(TOPICS.registry_state)
        ]


class AgentStage:
    """Start it with `start`; one event loop."""

    def __init__(self) -> None:
        self.shared = MemoryRegistry(SystemClock())
        self.publisher = KeepingPublisher()
        self.registry = self.new_registry()

    def new_registry(self) -> Registry:
        """One more process's fold of the same log, not started."""
        return Registry(MemoryRegistryLog(self.shared), clock=SystemClock(), ids=CountingIds(), source="/unit/agents")

    async def start(self) -> "AgentStage":
        await self.registry.start()
        return self

    async def stop(self) -> None:
        await self.registry.stop()

    async def append(self, key: bytes, values: Sequence[bytes]) -> int:
        """Write to the log as anybody may."""
        return await self.registry.log.append(key, values)

    def registry_record(self, offset: int) -> InboundRecord:
        """The log's record as a consumer of its topic reads it."""
        record = self.shared.records[offset]
        return InboundRecord(
            topic=TOPICS.registry,
            partition=0,
            offset=offset,
            timestamp_ms=record.timestamp_ms,
            key=record.key,
            value=record.value,
        )

    async def registry_records(self) -> list[InboundRecord]:
        """All of them."""
        await self.registry.catch_up()
        return [self.registry_record(offset) for offset in range(len(self.shared.records))]


def command_record(
    command: AnyCommand | bytes | None, *, key: bytes | None = b"digits", offset: int = 0
) -> InboundRecord:
    """A record of the commands topic, with a command or with anything else in it."""
    value = command if command is None or isinstance(command, bytes) else msgspec.json.encode(command)
    return InboundRecord(
        topic=TOPICS.commands,
        partition=2,
        offset=offset,
        timestamp_ms=1_760_000_000_000,
        key=key,
        value=value,
        headers=(("content-type", b"application/json"),),
    )
