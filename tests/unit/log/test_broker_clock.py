"""The broker's time, told by what is read, whatever this machine's clock says."""

from datetime import timedelta

import pytest

from hotswap_stream.agents.alert_agent import BLIND_SECONDS_MAX, AlertAgent
from hotswap_stream.agents.broker_clock import SETTLES, BrokerClock
from tests.support.clocks import SetClock
from tests.support.samples.alerts import FAILING, set_alert_policy
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.registry import EPOCH, MODEL, register, switch
from tests.support.stages.agent_in_memory import AgentStage

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("ahead_s", [-3_600.0, -20.0, 0.0, 20.0, 3_600.0])
def test_a_difference_that_stays_is_the_clocks(ahead_s: float) -> None:
    clock, ahead, own = BrokerClock(), timedelta(seconds=ahead_s), EPOCH
    for _second in range(2 * int(SETTLES.total_seconds()) + 2):
        own += SECOND
        clock.seen(own + ahead, own)
    assert abs(clock.now(own) - (own + ahead)) <= SECOND


def test_a_reader_that_catches_up_is_behind_and_no_clock_is() -> None:
    clock, own, at = BrokerClock(), EPOCH, EPOCH - timedelta(hours=10)
    for _second in range(600):
        own += SECOND
        at += timedelta(seconds=20)
        clock.seen(at, own)
    assert clock.ahead == timedelta()


@pytest.mark.parametrize("ahead_s", [-20.0, 20.0, 600.0])
async def test_alerts_are_raised_whatever_the_agents_clock_says(ahead_s: float) -> None:
    """Agents whose clock differed from the broker's by more than 5 s raised no alert, for ever."""
    stage = await AgentStage().start()
    try:
        for command in (register(), switch("v1"), set_alert_policy()):
            await stage.registry.handle(command)
        traffic = ObservedTraffic()
        clock = SetClock(traffic.now - timedelta(seconds=ahead_s))
        agent = AlertAgent(stage.registry, clock=clock)
        for _second in range(3 * int(BLIND_SECONDS_MAX)):
            for record in traffic.second({"v1": 0.2}, {"v1": 10_000}, rollout_id=None):
                clock.time = traffic.now - timedelta(seconds=ahead_s)
                agent.observe(record, traffic.now)
            await agent.tick(lambda _name: True)
        assert FAILING.name in stage.registry.state(MODEL).alerts.raised
    finally:
        await stage.stop()
