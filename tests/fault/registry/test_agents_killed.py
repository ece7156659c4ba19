"""The agents killed with -9 in the middle of their work, and started again by their supervisor."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.commands import AnyCommand
from hotswap_events.envelope import Envelope
from hotswap_stream.adapters.clock import SystemClock
from hotswap_stream.adapters.memory.registry_log import MemoryRegistry, MemoryRegistryLog
from hotswap_stream.application.registry.registry import Registry
from hotswap_stream.domain.reserved import TOPIC_ACTOR
from hotswap_stream.domain.state.model import ModelState
from tests.support.samples.registry import (
    EPOCH,
    CountingIds,
    archive,
    promote,
    register,
    roll_back,
    stage,
    switch,
    validate,
)
from tests.support.stages.agents import AgentsStage, agents_stage, kill

MODELS = ("digits", "faces", "speech", "words")
ROUNDS = 5
SEND_PAUSE_SECONDS = 0.03


def workload() -> list[AnyCommand]:
    """200 commands, interleaved over four models; some of each model's are refused or change nothing."""
    by_model = [_commands_of(model_name) for model_name in MODELS]
    return [command for round_of_models in zip(*by_model, strict=True) for command in round_of_models]


def _commands_of(model_name: str) -> list[AnyCommand]:
    commands: list[AnyCommand] = []

    def add(make: Callable[..., AnyCommand], *arguments: str) -> None:
        commands.append(make(*arguments, model_name=model_name, command_id=f"{model_name}-{len(commands)}"))

    for number in range(1, 2 * ROUNDS, 2):
        first, second = f"v{number}", f"v{number + 1}"
        add(register)
        add(validate, first)  # refused from the second round on: the baseline is missing
        add(stage, first)
        add(switch, first)
        add(promote, first)  # active already
        add(register)
        add(switch, second)
        add(archive, first)
        add(archive, second)  # refused: it is active
        add(roll_back)  # refused: the former one is archived
    return commands


def timeless(state: ModelState) -> ModelState:
    """The state without the times at which things happened."""
    state = state.copy()
    for version in state.versions.values():
        version.registered_at = EPOCH
        version.deployed_at = None if version.deployed_at is None else EPOCH
    return state


async def expected_states(commands: list[AnyCommand]) -> dict[str, ModelState]:
    """What a single process that nobody kills makes of the commands."""
    registry = Registry(
        MemoryRegistryLog(MemoryRegistry(SystemClock())), clock=SystemClock(), ids=CountingIds(), source="/test"
    )
    await registry.start()
    try:
        for command in commands:
            # Who asks by the topic is who he says there, and no more.
            said = replace(command, actor=f"{TOPIC_ACTOR}{command.actor}")
            await registry.handle(said, actor_by="topic")
        return {name: timeless(stream.state) for name, stream in registry.fold.streams.items()}
    finally:
        await registry.stop()


async def send_steadily(stage_: AgentsStage, commands: list[AnyCommand]) -> None:
    """Commands keep coming before, while and after the agents are down, so there is work in flight at the kill."""
    for command in commands:
        await stage_.send([command])
        await asyncio.sleep(SEND_PAUSE_SECONDS)


async def test_nothing_is_lost_and_nothing_applied_twice(
    kafka: str, topic_prefix: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    commands = workload()
    assert len(commands) == 200
    ids = [command.command_id for command in commands]
    async with agents_stage(kafka, topic_prefix, tmp_path) as agents:
        for half in (commands[:100], commands[100:]):
            sending = asyncio.create_task(send_steadily(agents, half))
            await agents.results([half[20].command_id])
            killed_s = time.monotonic()
            await kill(agents)
            record_property("running_again_seconds", round(time.monotonic() - killed_s, 2))
            await sending
        results = await agents.results(ids)
        assert agents.supervisor.status("agents").restarts == 2
        published = await agents.published_like_the_fold()
        fold = await agents.fold()
        events = [REGISTRY_CODEC.decode(record.value) for record in await agents.records(agents.topics.registry)]

    # Every command has a result, at most one of which says that it was applied now.
    assert set(results) == set(ids)
    for found in results.values():
        assert Counter(result.status for result in found)["accepted"] <= 1
        assert {result.status for result in found} <= {"accepted", "unchanged", "refused"}

    # The log is what one process that nobody kills would have written.
    assert {name: timeless(stream.state) for name, stream in fold.streams.items()} == await expected_states(commands)
    assert (fold.void_count, fold.applied_count) == (0, len(events))

    # Nothing was applied twice: the events of one command follow each other in its stream.
    sequences: dict[str, list[int]] = {}
    for event in events:
        assert isinstance(event, Envelope)
        sequences.setdefault(event.causationid, []).append(event.sequence)
    assert all(found == list(range(found[0], found[0] + len(found))) for found in sequences.values())

    # A state is published again at most after a kill, and never an older one after a newer one.
    for states in published.values():
        offsets = [state.offset for state in states]
        assert offsets == sorted(offsets)
        assert len(offsets) - len(set(offsets)) <= 2


async def test_commands_that_wait_while_a_table_is_restored_are_not_lost(
    kafka: str, topic_prefix: str, tmp_path: Path
) -> None:
    async with agents_stage(kafka, topic_prefix, tmp_path, module="tests.support.processes.slow_seek_agents") as agents:
        first = [register(model_name=f"m{number % 9}", command_id=f"first-{number}") for number in range(40)]
        await agents.send(first)
        await agents.results([command.command_id for command in first])
        pid = agents.supervisor.status("agents").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        waiting = [register(model_name=f"m{number % 9}", command_id=f"waiting-{number}") for number in range(400)]
        await agents.send(waiting)
        await agents.results([command.command_id for command in waiting])
        fold = await agents.fold()
        assert sum(len(stream.state.versions) for stream in fold.streams.values()) == 440
        await agents.published_like_the_fold()
