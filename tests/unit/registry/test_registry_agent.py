"""The published state of a model is the fold of its stream, once per change, whatever is read again or is garbage."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from hotswap_events import headers
from hotswap_events.codec import REGISTRY_CODEC
from hotswap_stream.agents import registry_agent
from hotswap_stream.agents.registry_agent import RegistryAgent, StreamHead
from hotswap_stream.application.registry.view import registry_state
from hotswap_stream.errors import ConfigurationError, LogUnavailableError
from tests.support.samples.registry import in_envelope, promote, register, switch, trained, validate
from tests.support.stages.agent_in_memory import TOPICS, AgentStage


@pytest.fixture
async def stage() -> AsyncIterator[AgentStage]:
    stage = await AgentStage().start()
    yield stage
    await stage.stop()


@pytest.fixture
def heads() -> dict[bytes, bytes]:
    return {}


@pytest.fixture
def agent(stage: AgentStage, heads: dict[bytes, bytes]) -> RegistryAgent:
    return RegistryAgent(stage.registry, stage.publisher, TOPICS, heads)


async def test_each_change_is_published_as_it_comes(stage: AgentStage, agent: RegistryAgent) -> None:
    for command in (register("v1"), validate("v1"), promote("v1")):
        result = await stage.registry.handle(command)
        assert result.offset is not None
        await agent.handle(stage.registry_record(result.offset))
    assert [state.sequence for state in stage.publisher.states()] == [1, 2, 3]
    [*_, last] = stage.publisher.states()
    stream = stage.registry.stream("digits")
    assert stream is not None
    assert last == registry_state(stream)
    assert (last.active_version, last.active_offset, last.offset) == ("v1", 2, 2)
    record = stage.publisher.records[-1]
    assert (record.topic, record.key) == ("unit.registry-state", b"digits")
    assert record.headers == (("content-type", b"application/json"),)


async def test_records_read_again_and_overtaken_ones_publish_nothing(
    stage: AgentStage, agent: RegistryAgent, heads: dict[bytes, bytes]
) -> None:
    for command in (register("v1"), register("v2"), register("f1", model_name="faces")):
        await stage.registry.handle(command)
    for record in [*await stage.registry_records()] * 2:
        await agent.handle(record)
    assert [(state.model_name, state.sequence) for state in stage.publisher.states()] == [("digits", 2), ("faces", 1)]
    head = msgspec.json.decode(heads[b"digits"], type=StreamHead)
    assert (head.sequence, head.offset) == (2, 1)

    again = RegistryAgent(stage.registry, stage.publisher, TOPICS, heads)  # a process that restored the table
    for record in await stage.registry_records():
        await again.handle(record)
    assert len(stage.publisher.states()) == 2


async def test_void_and_unreadable_records_publish_nothing(stage: AgentStage, agent: RegistryAgent) -> None:
    await stage.registry.handle(register("v1"))
    await stage.append(b"digits", [REGISTRY_CODEC.encode(in_envelope(trained("v9"), sequence=7))])
    await stage.append(b"\xff", [b"garbage"])
    await stage.append(b"new", [REGISTRY_CODEC.encode(in_envelope(trained("v1"), sequence=2, subject="new"))])
    for record in await stage.registry_records():
        await agent.handle(record)
    assert [(state.model_name, state.sequence) for state in stage.publisher.states()] == [("digits", 1)]
    assert agent.unreadable_count == 1


async def test_a_stream_that_is_named_unlike_any_model_is_withheld(stage: AgentStage, agent: RegistryAgent) -> None:
    for subject in ("../../etc", "x" * 50_000):
        await stage.append(b"odd", [REGISTRY_CODEC.encode(in_envelope(trained("v1"), subject=subject))])
    for record in await stage.registry_records():
        await agent.handle(record)
    assert stage.publisher.records == []


async def test_a_state_that_could_not_be_sent_is_sent_when_its_record_is_read_again(
    stage: AgentStage, agent: RegistryAgent, heads: dict[bytes, bytes]
) -> None:
    await stage.registry.handle(register("v1"))
    stage.publisher.down = True
    with pytest.raises(LogUnavailableError):
        await agent.handle(stage.registry_record(0))
    assert heads == {}
    stage.publisher.down = False
    await agent.handle(stage.registry_record(0))
    assert len(stage.publisher.states()) == 1


async def test_a_model_whose_state_trips_a_bug_is_set_aside_until_its_next_event(
    stage: AgentStage, agent: RegistryAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_stream: object) -> None:
        raise ZeroDivisionError("a bug")

    await stage.registry.handle(register("v1"))
    with monkeypatch.context() as patched:
        patched.setattr(registry_agent, "registry_state", broken)
        await agent.handle(stage.registry_record(0))
    [letter] = stage.publisher.records
    assert letter.topic == TOPICS.dead_letters
    assert b"ZeroDivisionError: a bug" in dict(letter.headers)[headers.DEAD_LETTER_CAUSE]
    await stage.registry.handle(register("v2"))
    await agent.handle(stage.registry_record(1))
    assert [state.sequence for state in stage.publisher.states()] == [2]


async def test_a_garbled_head_is_published_again(
    stage: AgentStage, agent: RegistryAgent, heads: dict[bytes, bytes]
) -> None:
    await stage.registry.handle(register("v1"))
    heads[b"digits"] = b"\x00garbage"
    await agent.handle(stage.registry_record(0))
    assert len(stage.publisher.states()) == 1
    assert msgspec.json.decode(heads[b"digits"], type=StreamHead).sequence == 1


async def test_a_head_ahead_of_the_fold_waits_for_the_fold_before_it_is_replaced(
    stage: AgentStage, agent: RegistryAgent, heads: dict[bytes, bytes]
) -> None:
    for command in (register("v1"), register("v2"), register("v3")):
        await stage.registry.handle(command)
    ahead = StreamHead(sequence=99, offset=500, digest="0" * 64)  # of a log that was deleted and begun again
    heads[b"digits"] = msgspec.json.encode(ahead)
    await agent.handle(stage.registry_record(0))
    assert [state.sequence for state in stage.publisher.states()] == [3]


async def test_a_model_is_seen_to_before_its_first_state(stage: AgentStage, heads: dict[bytes, bytes]) -> None:
    seen: list[tuple[str, int]] = []

    async def see(model_name: str) -> None:
        seen.append((model_name, len(stage.publisher.records)))
        if model_name == "faces":
            raise ConfigurationError("topic 'unit.requests.faces' has 3 partitions; 8 are needed")

    agent = RegistryAgent(stage.registry, stage.publisher, TOPICS, heads, on_model_seen=see)
    for command in (register("v1"), switch("v1"), register("f1", model_name="faces")):
        await stage.registry.handle(command)
    for record in await stage.registry_records():
        await agent.handle(record)
    assert seen == [("digits", 0), ("faces", 1)]
    assert [state.model_name for state in stage.publisher.states()] == ["digits", "faces"]
