"""The same command id for another command is refused, whichever process and whichever way it comes by."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand, RequestTraining
from hotswap_events.envelope import Envelope
from hotswap_stream.agents.command_agent import CommandAgent
from hotswap_stream.application.command_digest import command_digest
from hotswap_stream.application.log.port import LogRecord
from hotswap_stream.application.registry.fold import RegistryFold
from tests.support.samples.registry import archive, promote, register, stage, switch
from tests.support.stages.agent_in_memory import TOPICS, AgentStage, command_record


@pytest.fixture
async def agent_stage() -> AsyncIterator[AgentStage]:
    started = await AgentStage().start()
    yield started
    await started.stop()


async def test_another_replica_and_the_topic_know_what_an_id_was_for(agent_stage: AgentStage) -> None:
    other = agent_stage.new_registry()
    await other.start()
    agent = CommandAgent(agent_stage.registry, agent_stage.publisher, TOPICS)
    try:
        assert (await agent_stage.registry.handle(register("v1", command_id="r1"))).status == "accepted"
        assert (
            await agent_stage.registry.handle(stage("v1", command_id="nightly"), actor_by="key")
        ).status == "accepted"
        # Another attempt, by another way, with other words
        again = stage("v1", command_id="nightly", actor="bob", reason="again")
        assert (await other.handle(again)).status == "unchanged"
        for wrong in (switch("v1", command_id="nightly"), archive("v1", command_id="nightly")):
            result = await other.handle(wrong)
            assert result.refusal is not None
            assert (result.status, result.refusal.code) == ("refused", "idempotency-mismatch")
            await agent.handle(command_record(wrong))
        for result in agent_stage.publisher.results():
            assert result.refusal is not None
            assert result.refusal.code == "idempotency-mismatch"
        assert len(agent_stage.publisher.results()) == 2
        assert len(agent_stage.shared.records) == 2
    finally:
        await other.stop()


async def test_what_was_refused_may_be_put_right_under_its_id(agent_stage: AgentStage) -> None:
    assert (await agent_stage.registry.handle(promote("v1", command_id="c"))).status == "refused"
    assert (await agent_stage.registry.handle(register("v1", command_id="c"))).status == "accepted"


def test_only_what_is_asked_for_counts() -> None:
    command = stage("v1", command_id="one")
    digest = command_digest(command)
    assert digest is not None
    later = datetime(2030, 1, 1, tzinfo=UTC)
    same: AnyCommand = replace(
        command,
        command_id="two",
        actor="bob",
        reason="r",
        expected_sequence=3,
        correlation_id="c",
        traceparent="t",
        expires_at=later,
    )
    assert command_digest(same) == digest
    others: list[AnyCommand] = [stage("v2"), archive("v1"), replace(command, model_name="faces")]
    assert len({digest, *(command_digest(other) for other in others)}) == 4
    # A version that is registered again was tried again, and its trial took another time.
    assert command_digest(register("v1", metrics={"loss": 1.0})) == command_digest(register("v1"))
    asked = RequestTraining(command_id="t", actor="a", model_name="m", run_id="run-1", trainer="copy")
    assert command_digest(replace(asked, run_id="run-2")) == command_digest(asked)
    assert command_digest(replace(asked, trainer="als")) != command_digest(asked)


def test_the_products_own_commands_carry_none() -> None:
    assert command_digest(stage("v1", command_id="hotswap/rollback/7")) is None


async def test_a_digest_that_is_none_is_passed_over(agent_stage: AgentStage) -> None:
    await agent_stage.registry.handle(register("v1", command_id="r1"))
    [record] = agent_stage.shared.records
    event = REGISTRY_CODEC.decode(record.value)
    assert isinstance(event, Envelope)
    for wrong in (None, 7, "", "x" * 1_000_000, ["x"], {"a": 1}):
        fold = RegistryFold()
        value = REGISTRY_CODEC.encode(replace(event, commanddigest=wrong))
        fold.apply(LogRecord(0, 1, b"digits", value))
        assert fold.streams["digits"].command_digests == {}
        assert fold.state("digits").sequence == 1
