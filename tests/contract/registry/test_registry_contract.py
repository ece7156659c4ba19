"""The registry on every log: commands from several processes at once, and readers that all agree."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import CommandResult
from hotswap_events.log_stream import LogBegun
from hotswap_events.registry.events import ModelTrained
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.kafka.registry_log import KafkaRegistryLog
from hotswap_stream.application.registry.as_of import OffsetNotReachedError, RegistryAsOf
from hotswap_stream.application.registry.fold import Applied, Void
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.application.registry.tail import TailEntry
from hotswap_stream.errors import LogUnavailableError, UnreadableEventError
from hotswap_stream.kafka.connection import KafkaConnection
from tests.support.samples.registry import (
    MODEL,
    CountingIds,
    in_envelope,
    promote,
    register,
    roll_back,
    staged,
    switch,
    trained,
    validate,
)
from tests.support.stages.registry_logs import OpenLog, kafka_log, memory_log

NewRegistry = Callable[[], Awaitable[Registry]]
"""Another process's registry on the same log, started; stopped when the test ends."""


@pytest.fixture(params=["memory", "kafka"])
async def open_log(request: pytest.FixtureRequest, topic_prefix: str) -> OpenLog:
    if request.param == "memory":
        return memory_log()
    return await kafka_log(request.getfixturevalue("kafka"), topic_prefix)


def registry_on(open_log: OpenLog, name: str) -> Registry:
    return Registry(open_log(), clock=SystemClock(), ids=CountingIds(name), source=f"/test/{name}")


@pytest.fixture
async def new_registry(open_log: OpenLog) -> AsyncIterator[NewRegistry]:
    started: list[Registry] = []

    async def start_one() -> Registry:
        registry = registry_on(open_log, f"process-{len(started)}")
        await registry.start()
        started.append(registry)
        return registry

    yield start_one
    for registry in started:
        await registry.stop()


async def agree(*registries: Registry) -> None:
    """All have read the same log to the same end and hold the same states."""
    for registry in registries:
        await registry.catch_up()
    first = registries[0]
    for other in registries[1:]:
        assert other.fold.streams == first.fold.streams
        assert (other.fold.applied_count, other.fold.void_count) == (first.fold.applied_count, first.fold.void_count)


async def test_commands_are_answered_with_what_they_led_to(new_registry: NewRegistry) -> None:
    registry = await new_registry()
    registered = await registry.handle(register("v1"))
    assert (registered.status, registered.offset, registered.sequence) == ("accepted", 0, 1)
    assert registered.event_types == ("hotswap.model.trained.v1",)
    promoted = await registry.handle(validate("v1", promote_first=True))
    assert (promoted.status, promoted.model_version, promoted.offset, promoted.sequence) == ("accepted", "v1", 2, 3)
    assert promoted.event_types == ("hotswap.model.validated.v1", "hotswap.model.promoted.v1")
    switched = await registry.handle(register("v2"))
    switched = await registry.handle(switch("v2"))
    assert (switched.model_version, switched.previous_version) == ("v2", "v1")
    assert registry.state(MODEL).active_version == "v2"
    stream = registry.stream(MODEL)
    assert stream is not None
    assert stream.active_offset == switched.offset


async def test_refusals_are_answers(new_registry: NewRegistry) -> None:
    registry = await new_registry()
    refused = await registry.handle(promote("v1"))
    assert refused.status == "refused"
    assert refused.refusal is not None
    assert refused.refusal.code == "unknown-model"
    assert await registry.log.end_offset() == 0


async def test_a_command_too_large_for_a_batch_is_refused(new_registry: NewRegistry) -> None:
    registry = await new_registry()
    refused = await registry.handle(register("v1", reason="x" * 1_100_000))
    assert refused.status == "refused"
    assert refused.refusal is not None
    assert refused.refusal.code == "invalid-value"
    assert "carries too much" in refused.refusal.reason
    assert (await registry.handle(register("v1"))).status == "accepted"


async def test_the_loser_s_event_is_void_and_decided_again(new_registry: NewRegistry) -> None:
    one, other = await new_registry(), await new_registry()
    # both decide before either reads the other's event, so both append sequence 1
    results = await asyncio.gather(one.handle(register()), other.handle(register()))
    assert [result.status for result in results] == ["accepted", "accepted"]
    assert sorted(result.model_version or "" for result in results) == ["v1", "v2"]
    await agree(one, other, await new_registry())
    assert (one.fold.applied_count, one.fold.void_count) == (2, 1)
    voids = [entry for entry in one.tail if isinstance(entry.outcome, Void)]
    assert [entry.outcome.kind for entry in voids if isinstance(entry.outcome, Void)] == ["conflict"]
    assert [entry.record.offset for entry in voids] == [1]


async def test_of_two_that_expected_the_same_sequence_one_is_refused(new_registry: NewRegistry) -> None:
    one, other = await new_registry(), await new_registry()
    results = await asyncio.gather(
        one.handle(register(expected_sequence=0)), other.handle(register(expected_sequence=0))
    )
    assert sorted(result.status for result in results) == ["accepted", "refused"]
    refusal = next(result.refusal for result in results if result.status == "refused")
    assert refusal is not None
    assert refusal.code == "sequence-mismatch"
    await agree(one, other)


async def test_one_command_sent_to_all_processes_at_once_applies_once(new_registry: NewRegistry) -> None:
    registries = [await new_registry() for _ in range(3)]
    command = register("v1")
    results = await asyncio.gather(*(registry.handle(command) for registry in registries for _ in range(2)))
    assert sorted(result.status for result in results) == ["accepted", *["unchanged"] * 5]
    await agree(*registries)
    assert registries[0].fold.applied_count == 1
    assert (await registries[1].handle(command)).status == "unchanged"


async def test_many_commands_from_several_processes_apply_once_each(new_registry: NewRegistry) -> None:
    registries = [await new_registry() for _ in range(3)]

    async def send(registry: Registry, number: int) -> list[CommandResult]:
        model_name = f"model-{number % 2}"
        return [await registry.handle(register(model_name=model_name)) for _ in range(10)]

    results = await asyncio.gather(*(send(registry, number) for number, registry in enumerate(registries * 2)))
    assert {result.status for answers in results for result in answers} == {"accepted"}
    await agree(*registries, await new_registry())
    fold = registries[0].fold
    assert fold.applied_count == 60
    assert sum(len(fold.state(f"model-{number}").versions) for number in range(2)) == 60
    answered = sorted((result.model_name, result.sequence) for answers in results for result in answers)
    assert answered == sorted((f"model-{number}", sequence) for number in range(2) for sequence in range(1, 31))


async def test_what_one_process_was_answered_another_sees_after_catching_up(new_registry: NewRegistry) -> None:
    one, other = await new_registry(), await new_registry()
    for number in range(1, 4):
        await one.handle(register())
        await other.catch_up()
        assert len(other.state(MODEL).versions) == number


async def test_a_refusal_is_never_given_on_a_stale_view(new_registry: NewRegistry) -> None:
    one, other = await new_registry(), await new_registry()
    for _ in range(5):
        version = (await one.handle(register())).model_version
        assert version is not None
        assert (await other.handle(switch(version))).status == "accepted"


async def test_void_records_are_reported_and_passed_over(new_registry: NewRegistry) -> None:
    registry = await new_registry()
    heard: list[TailEntry] = []
    end = registry.listen(heard.append)
    await registry.handle(register("v1"))
    await registry.log.append(b"digits", [b"garbage"])
    zombie = REGISTRY_CODEC.encode(in_envelope(trained("v9"), sequence=1))
    orphan = REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=2, previous="f" * 64))
    await registry.log.append(b"digits", [zombie, orphan])
    assert (await registry.handle(register("v2"))).status == "accepted"
    end()
    await registry.handle(register("v3"))
    outcomes = [entry.outcome for entry in heard]
    assert [type(outcome) for outcome in outcomes] == [Applied, Void, Void, Void, Applied]
    assert [outcome.kind for outcome in outcomes if isinstance(outcome, Void)] == [
        "unreadable",
        "conflict",
        "conflict",
    ]
    assert isinstance(outcomes[0], Applied)
    assert isinstance(outcomes[0].event.data, ModelTrained)
    assert [entry.record.offset for entry in registry.tail] == list(range(6))
    assert list(registry.state(MODEL).versions) == ["v1", "v2", "v3"]


async def test_a_rollback_behind_an_event_of_a_newer_release_counts_for_all(new_registry: NewRegistry) -> None:
    one, other = await new_registry(), await new_registry()
    for version in ("v1", "v2"):
        await one.handle(register(version))
        await one.handle(switch(version))
    stream = one.stream(MODEL)
    assert stream is not None
    newer = REGISTRY_CODEC.encode(in_envelope(staged("v1"), sequence=5, previous=stream.head_digest))
    await one.log.append(MODEL.encode(), [newer.replace(b"staged.v1", b"future.v9")])
    await agree(one, other)
    with pytest.raises(UnreadableEventError):
        await other.handle(register("v3"))
    results = await asyncio.gather(one.handle(roll_back("emergency")), other.handle(switch("v2")))
    assert [result.status for result in results] == ["accepted", "accepted"]
    await agree(one, other)
    assert one.state(MODEL).sequence == 7


async def test_the_log_has_a_stream_of_its_own(new_registry: NewRegistry) -> None:
    one, other = await new_registry(), await new_registry()
    await asyncio.gather(
        *(
            registry.record(LogBegun(log_id=name), actor=name, command_id=name)
            for name, registry in (("a", one), ("b", other))
        )
    )
    await agree(one, other)
    assert one.log_identity is not None
    assert one.log_identity == other.log_identity
    assert one.fold.log == other.fold.log
    assert (one.fold.log.sequence, one.fold.streams) == (2, {})


async def test_a_registry_starts_on_a_log_that_has_a_past(new_registry: NewRegistry) -> None:
    one = await new_registry()
    for _ in range(5):
        await one.handle(register())
    late = await new_registry()
    assert len(late.state(MODEL).versions) == 5
    await agree(one, late)


async def test_any_state_of_the_past_can_be_read(new_registry: NewRegistry) -> None:
    registry = await new_registry()
    for version in ("v1", "v2", "v3"):
        await registry.handle(register(version))
        await registry.handle(switch(version))
    past = RegistryAsOf(registry.log)
    active = [(await past.at_offset(offset))[MODEL].state.active_version for offset in range(6)]
    assert active == [None, "v1", "v1", "v2", "v2", "v3"]
    with pytest.raises(OffsetNotReachedError):
        await past.at_offset(6)

    timestamps = [entry.record.timestamp_ms for entry in registry.tail]
    for timestamp_ms in timestamps:
        appended_by_then = sum(stamp <= timestamp_ms for stamp in timestamps)
        streams = await past.at_time(datetime.fromtimestamp(timestamp_ms / 1000, UTC))
        assert streams[MODEL].state.sequence == appended_by_then
    assert await past.at_time(datetime(2020, 1, 1, tzinfo=UTC)) == {}
    assert (await past.at_time(datetime.now(UTC) + timedelta(hours=1)))[MODEL].state == registry.state(MODEL)


async def test_a_stopped_registry_says_so(new_registry: NewRegistry) -> None:
    registry = await new_registry()
    healthy_before = registry.healthy
    await registry.stop()
    assert (healthy_before, registry.healthy) == (True, False)
    with pytest.raises(LogUnavailableError):
        await registry.handle(register("v1"))


async def test_a_registry_whose_log_stops_under_it_says_so(new_registry: NewRegistry) -> None:
    registry = await new_registry()
    waiting = asyncio.create_task(registry.wait_for_offset(1))
    await asyncio.sleep(0)
    await registry.log.stop()
    with pytest.raises(LogUnavailableError, match="no longer followed"):
        await waiting
    assert not registry.healthy


async def test_a_broker_that_is_not_there(unused_tcp_port: int) -> None:
    connection = KafkaConnection(bootstrap_servers=f"127.0.0.1:{unused_tcp_port}")
    registry = registry_on(lambda: KafkaRegistryLog(connection, "hotswap.registry"), "lonely")
    with pytest.raises(LogUnavailableError, match="cannot be reached"):
        await registry.start()
