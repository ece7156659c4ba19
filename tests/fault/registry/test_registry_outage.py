"""The broker goes away under a registry and comes back: nothing hangs, nothing is lost, nothing applies twice."""

from time import monotonic

import pytest

from hotswap_events.commands import AnyCommand, CommandResult
from hotswap_events.topics import Topics
from hotswap_stream.adapters.clock import RandomIds, SystemClock
from hotswap_stream.adapters.kafka import registry_log
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.adapters.kafka.topic_admin import ensure_topics
from hotswap_stream.application.audit.audit import verify_log
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.broker import EmbeddedKafka
from hotswap_stream.errors import AppendOutcomeUnknownError, HotswapError, LogUnavailableError
from hotswap_stream.kafka.connection import KafkaConnection
from tests.support.samples.registry import MODEL, promote, register

DEADLINE_SECONDS = 60.0


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker is killed here, so nobody answers late."""
    monkeypatch.setattr(registry_log, "APPEND_SECONDS_MAX", 2.0)
    monkeypatch.setattr(registry_log, "REQUEST_MS_MAX", 2_000)


async def retried(registry: Registry, command: AnyCommand) -> CommandResult:
    """As a client does that is told to try again with the same command id."""
    deadline = monotonic() + DEADLINE_SECONDS
    while True:
        try:
            return await registry.handle(command)
        except HotswapError as error:
            if not error.retriable or monotonic() > deadline:
                raise


async def test_commands_go_on_after_the_broker_was_killed() -> None:
    topics = Topics("outage")
    async with EmbeddedKafka() as broker:
        connection = KafkaConnection(bootstrap_servers=broker.bootstrap_servers)
        await ensure_topics(connection, [spec for spec in topics.control_specs() if spec.name == topics.registry])
        log = KafkaRegistryLog(connection, topics.registry)
        registry = Registry(log, clock=SystemClock(), ids=RandomIds(), source="/test")
        await registry.start()
        assert (await registry.handle(register("v1"))).status == "accepted"

        await broker.nodes[0].kill()
        interrupted = register("v2")
        with pytest.raises(AppendOutcomeUnknownError) as raised:
            await registry.handle(interrupted)
        assert raised.value.retriable
        with pytest.raises(LogUnavailableError):
            await registry.handle(promote("v9"))  # a refusal is never given without asking the log

        await broker.nodes[0].start()
        result = await retried(registry, interrupted)
        assert result.status in ("accepted", "unchanged")
        assert (await registry.handle(register("v3"))).status == "accepted"
        assert list(registry.state(MODEL).versions) == ["v1", "v2", "v3"]

        fresh = Registry(
            KafkaRegistryLog(connection, topics.registry), clock=SystemClock(), ids=RandomIds(), source="/t"
        )
        await fresh.start()
        assert fresh.fold.streams == registry.fold.streams
        assert (await verify_log(fresh.log)).ok
        await fresh.stop()
        await registry.stop()


async def test_a_log_can_be_stopped_while_the_broker_is_away() -> None:
    topics = Topics("outage")
    async with EmbeddedKafka() as broker:
        connection = KafkaConnection(bootstrap_servers=broker.bootstrap_servers)
        await ensure_topics(connection, [spec for spec in topics.control_specs() if spec.name == topics.registry])
        log = KafkaRegistryLog(connection, topics.registry)
        await log.start()
        await broker.nodes[0].kill()
        with pytest.raises((AppendOutcomeUnknownError, LogUnavailableError)):
            await log.append(b"m", [b"one"])
        await log.stop()
