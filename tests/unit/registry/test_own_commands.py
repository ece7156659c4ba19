"""Nobody can use up the ids of what the product decides by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from hotswap_events.commands import RollBack
from hotswap_events.serving.commands import OpenCircuit
from hotswap_stream.agents.alert_agent import AlertAgent
from hotswap_stream.agents.command_agent import CommandAgent
from hotswap_stream.application.own_commands import as_own, own_id
from hotswap_stream.application.serving.guard import CircuitGuard
from hotswap_stream.domain.reserved import wrong_actor, wrong_command_id
from hotswap_stream.workers.inference.observing.circuits import CircuitWatch
from tests.support.clocks import SetClock
from tests.support.samples.alerts import FAILING, set_alert_policy
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import MODEL, promote, register, roll_back, stage, switch, validate
from tests.support.stages.agent_in_memory import TOPICS, AgentStage, command_record


@pytest.fixture
async def served() -> AsyncIterator[AgentStage]:
    """v2 in production, v1 to go back to, v3 registered."""
    found = await AgentStage().start()
    try:
        for command in (register(), switch("v1"), register(), switch("v2"), register(), validate("v3")):
            await found.registry.handle(command)
        yield found
    finally:
        await found.stop()


async def use_up(served: AgentStage, command_id: str) -> None:
    """As somebody does who may write to the log itself."""
    result = await served.registry.handle(stage("v3", command_id=command_id))
    assert result.status in ("accepted", "unchanged")
    assert command_id in served.registry.state(MODEL).command_ids


def test_an_id_is_known_to_its_process_alone() -> None:
    name = "load-failed:digits:v2:17"
    assert own_id(name) == own_id(name)
    assert own_id(name) != own_id("load-failed:digits:v2:18")
    assert own_id(name, b"another process") != own_id(name)
    assert own_id(name).startswith("hotswap/load-failed/")
    assert len(own_id("alert/" + "x" * 1_000)) <= 128
    one, other = (as_own(roll_back(command_id=name, model_name=model)) for model in ("digits", "faces"))
    assert one.command_id != other.command_id


async def test_a_circuit_opens_though_its_old_id_was_used(served: AgentStage) -> None:
    """Whoever used the id `circuit-open:<model>:<sequence>` kept a worker from opening the circuit."""
    guard = CircuitGuard(MODEL, "w1")
    guard.update(served.registry.state(MODEL))
    command = None
    for _batch in range(20):
        command = command or guard.observe("v2", answers=100, errors=100, slow=0, now_s=time.monotonic())
    assert isinstance(command, OpenCircuit)
    await use_up(served, command.command_id)

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        tasks.append(asyncio.create_task(work))

    tasks: list[asyncio.Task[None]] = []
    CircuitWatch(guard, served.registry, asyncio.get_running_loop(), spawn)._say(command)
    await asyncio.gather(*tasks)
    assert served.registry.state(MODEL).serving.circuits["v2"].position == "open"


async def test_an_alert_is_raised_though_its_old_id_was_used(served: AgentStage) -> None:
    await served.registry.handle(set_alert_policy())
    await use_up(served, f"alert/{FAILING.name}/raise/0")
    traffic = ObservedTraffic()
    clock = SetClock(traffic.now)
    agent = AlertAgent(served.registry, clock=clock)
    for _second in range(60):
        for record in traffic.second({"v2": 0.2}, {"v2": 10_000}, rollout_id=None):
            clock.time = traffic.now
            agent.observe(record, traffic.now)
        clock.time += timedelta(milliseconds=10)
        await agent.tick(lambda _name: True)
    assert FAILING.name in served.registry.state(MODEL).alerts.raised


async def test_of_two_workers_that_take_a_promotion_back_one_is_heard(served: AgentStage) -> None:
    """And a late one does not hit the same version when it was put into production once more."""
    entered = served.registry.state(MODEL).versions["v2"].production_sequences[-1]
    command = roll_back("load-failed", "v2", entered_sequence=entered, command_id="load-failed:digits:v2:3")
    assert isinstance(command, RollBack)
    assert (await served.registry.handle(as_own(command, b"one"))).status == "accepted"
    late = await served.registry.handle(as_own(command, b"another"))
    assert late.refusal is not None
    assert late.refusal.code == "conflict"
    await served.registry.handle(switch("v2"))
    late = await served.registry.handle(as_own(command, b"another"))
    assert late.refusal is not None
    assert "sequence" in late.refusal.reason
    assert served.registry.state(MODEL).active_version == "v2"


@pytest.mark.parametrize(
    "fields",
    [
        {"command_id": "hotswap/load-failed/0"},
        {"command_id": "load-failed:digits:v2:17"},
        {"command_id": "circuit-open:digits:3"},
        {"command_id": "analysis/r1/all/failed/3"},
        {"command_id": "alert/slow/raise/0"},
        {"actor": "worker:w1"},
        {"actor": "rollout-analysis"},
        {"actor": "alert-watch"},
    ],
)
async def test_the_command_topic_takes_no_such_names(served: AgentStage, fields: dict[str, str]) -> None:
    agent = CommandAgent(served.registry, served.publisher, TOPICS)
    sequence = served.registry.state(MODEL).sequence
    await agent.handle(command_record(promote("v3", **fields)))
    [result] = served.publisher.results()
    assert result.refusal is not None
    assert result.refusal.code == "invalid-value"
    assert served.registry.state(MODEL).sequence == sequence


def test_what_people_use_is_theirs() -> None:
    for command_id in ("c-01", "order/7", "circuit-42", "alerting", "hotswap-deploy-1", "9b2d8f52-0000-4000-8000-0"):
        assert wrong_command_id(command_id) is None
    for actor in ("ada", "anonymous", "worker", "rollout", "the worker: bob"):
        assert wrong_actor(actor) is None
