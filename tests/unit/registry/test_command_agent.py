"""Each command ends in a result, and what is no command in a dead letter."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from hotswap_events import headers
from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.envelope import Envelope
from hotswap_stream.agents.command_agent import COMMAND_BYTES_MAX, CommandAgent
from hotswap_stream.application.topics.dead_letter import DEAD_LETTER_VALUE_BYTES_MAX
from hotswap_stream.errors import LogUnavailableError
from tests.support.samples.registry import in_envelope, promote, register, trained
from tests.support.stages.agent_in_memory import TOPICS, AgentStage, command_record


@pytest.fixture
async def stage() -> AsyncIterator[AgentStage]:
    stage = await AgentStage().start()
    yield stage
    await stage.stop()


@pytest.fixture
def agent(stage: AgentStage) -> CommandAgent:
    return CommandAgent(stage.registry, stage.publisher, TOPICS)


async def test_a_command_is_applied_and_answered(stage: AgentStage, agent: CommandAgent) -> None:
    await agent.handle(command_record(register(command_id="c1", correlation_id="order-7")))
    [answer] = stage.publisher.records
    assert answer.topic == "unit.command-results"
    assert answer.key == b"digits"
    assert dict(answer.headers) == {
        headers.CONTENT_TYPE: b"application/json",
        headers.COMMAND_ID: b"c1",
        headers.CORRELATION_ID: b"order-7",
    }
    [result] = stage.publisher.results()
    assert (result.command_id, result.status, result.model_version, result.offset) == ("c1", "accepted", "v1", 0)
    assert result.event_types == ("hotswap.model.trained.v1",)


async def test_a_command_read_again_changes_nothing_and_is_answered_again(
    stage: AgentStage, agent: CommandAgent
) -> None:
    record = command_record(register(command_id="c1"))
    for _ in range(3):
        await agent.handle(record)
    assert [result.status for result in stage.publisher.results()] == ["accepted", "unchanged", "unchanged"]
    assert {result.offset for result in stage.publisher.results()} == {0}
    assert len(stage.shared.records) == 1


async def test_a_refusal_is_an_answer_and_no_dead_letter(stage: AgentStage, agent: CommandAgent) -> None:
    await agent.handle(command_record(promote("v1", command_id="c1")))
    [result] = stage.publisher.results()
    assert result.status == "refused"
    assert result.refusal is not None
    assert result.refusal.code == "unknown-model"
    assert stage.publisher.on(TOPICS.dead_letters) == []


GOOD = msgspec.to_builtins(register(command_id="c1"))


def bent(**changes: Any) -> bytes:
    """The good command with some fields changed."""
    return msgspec.json.encode({**GOOD, **changes})


@pytest.mark.parametrize(
    ("value", "key", "cause", "answered"),
    [
        pytest.param(None, b"digits", "null value", False, id="null"),
        pytest.param(b"", b"digits", "not a command", False, id="empty"),
        pytest.param(b"{", b"digits", "not a command", False, id="cut off"),
        pytest.param(b"\x80\x04\x95", b"digits", "not a command", False, id="pickle"),
        pytest.param(b"[" * 100_000, b"digits", "nests too deep", False, id="nested"),
        pytest.param(b'{"command_id":"c1"}', b"digits", "not a command", True, id="no type"),
        pytest.param(bent(type="hotswap.command.destroy.v1"), b"digits", "not a command", True, id="unknown type"),
        pytest.param(bent(artifact="none"), b"digits", "not a command", True, id="wrong shape"),
        pytest.param(bent(model_name=7), b"digits", "not a command", True, id="model name is a number"),
        pytest.param(bent(command_id=""), b"digits", "not a command", False, id="empty command id"),
        pytest.param(bent(command_id=7), b"digits", "not a command", False, id="command id is a number"),
        pytest.param(bent(), b"faces", "key 'faces' is not", True, id="other model's key"),
        pytest.param(bent(), None, "has no key", True, id="no key"),
        pytest.param(bent(), b"\xff\xfe", "not UTF-8", True, id="key is not UTF-8"),
        pytest.param(bent(padding="x" * COMMAND_BYTES_MAX), b"digits", "at most 900000", True, id="oversized"),
        pytest.param(bent(type="x" * 500_000), b"digits", "not a command", True, id="long type name"),
    ],
)
async def test_poison_goes_to_the_dead_letters_with_its_cause(
    stage: AgentStage, agent: CommandAgent, value: bytes | None, key: bytes | None, cause: str, answered: bool
) -> None:
    await agent.handle(command_record(value, key=key, offset=41))
    [letter] = stage.publisher.on(TOPICS.dead_letters)
    said = dict(letter.headers)
    assert cause in said.pop(headers.DEAD_LETTER_CAUSE).decode()
    assert said == {
        headers.CONTENT_TYPE: b"application/json",
        headers.ORIGIN_TOPIC: b"unit.commands",
        headers.ORIGIN_PARTITION: b"2",
        headers.ORIGIN_OFFSET: b"41",
        headers.ORIGIN_TIMESTAMP_MS: b"1760000000000",
    }
    assert letter.key == key
    assert letter.value == (value if value is None else value[:DEAD_LETTER_VALUE_BYTES_MAX])
    results = stage.publisher.results()
    assert [result.command_id for result in results] == (["c1"] if answered else [])
    for result in results:
        assert result.status == "refused"
        assert result.refusal is not None
        assert result.refusal.code == "command-unreadable"
        assert cause in result.refusal.reason
    assert stage.shared.records == []
    assert all(len(record.value or b"") < 1_000_000 for record in stage.publisher.records)


async def test_what_follows_poison_is_handled(stage: AgentStage, agent: CommandAgent) -> None:
    for record in (command_record(b"{"), command_record(register(command_id="c2"))):
        await agent.handle(record)
    assert [(result.command_id, result.status) for result in stage.publisher.results()] == [("c2", "accepted")]


async def test_a_log_out_of_reach_leaves_the_command_unhandled(stage: AgentStage, agent: CommandAgent) -> None:
    await stage.registry.stop()
    with pytest.raises(LogUnavailableError):
        await agent.handle(command_record(register()))
    assert stage.publisher.records == []


async def test_an_answer_that_cannot_be_sent_leaves_the_command_unhandled(
    stage: AgentStage, agent: CommandAgent
) -> None:
    record = command_record(register(command_id="c1"))
    stage.publisher.down = True
    with pytest.raises(LogUnavailableError):
        await agent.handle(record)
    stage.publisher.down = False
    await agent.handle(record)
    assert [result.status for result in stage.publisher.results()] == ["unchanged"]
    assert len(stage.shared.records) == 1


async def test_a_model_this_release_cannot_read_is_answered_as_failed(stage: AgentStage, agent: CommandAgent) -> None:
    event = msgspec.json.encode(in_envelope(trained("v1"))).replace(
        b"hotswap.model.trained.v1", b"hotswap.model.new.v9"
    )
    await stage.append(b"digits", [event])
    await stage.registry.catch_up()
    await agent.handle(command_record(register()))
    [result] = stage.publisher.results()
    assert result.status == "failed"
    assert "hotswap.model.new.v9" in (result.detail or "")


async def test_a_command_that_trips_a_bug_is_set_aside_and_answered(stage: AgentStage, agent: CommandAgent) -> None:
    async def broken(_command: object, *, actor_by: str) -> None:
        raise ZeroDivisionError("a bug")

    agent._registry.handle = broken  # type: ignore[method-assign,assignment]
    await agent.handle(command_record(register(command_id="c1")))
    [result] = stage.publisher.results()
    assert (result.command_id, result.status) == ("c1", "failed")
    [letter] = stage.publisher.on(TOPICS.dead_letters)
    assert b"ZeroDivisionError: a bug" in dict(letter.headers)[headers.DEAD_LETTER_CAUSE]


async def test_who_sends_to_the_topic_is_only_who_he_says_to_be(stage: AgentStage, agent: CommandAgent) -> None:
    await agent.handle(command_record(register(command_id="c1", actor="ada")))
    event = REGISTRY_CODEC.decode(stage.shared.records[0].value)
    assert isinstance(event, Envelope)
    assert (event.actor, event.actorby) == ("topic:ada", "topic")


async def test_a_command_that_waited_too_long_is_refused(stage: AgentStage, agent: CommandAgent) -> None:
    late = register(command_id="c1", expires_at=datetime(2026, 1, 2, tzinfo=UTC))
    await agent.handle(command_record(late))
    [result] = stage.publisher.results()
    assert result.refusal is not None
    assert (result.status, result.refusal.code) == ("refused", "command-expired")
    assert stage.shared.records == []
