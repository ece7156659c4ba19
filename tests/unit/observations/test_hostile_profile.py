"""A profile that no registry would accept, written into the log by hand: it silences no alert and stops no reader."""

from hotswap_events.alerts.events import AlertPolicy, AlertPolicySet, AlertRule
from hotswap_stream.agents.alert_agent import BEHIND, AlertAgent
from hotswap_stream.application.registry.fold import RegistryFold
from hotswap_stream.application.registry.view import registry_state
from tests.support.clocks import SetClock
from tests.support.samples.observations import ObservedTraffic
from tests.support.samples.profiles import INPUT, profiled
from tests.support.samples.registry import MODEL, LogBuilder, promoted, trained, validated
from tests.support.stages.agent_in_memory import AgentStage

RULES = AlertPolicy(
    rules=(
        AlertRule(name="drift", metric="input-drift", above=0.2, window_seconds=10.0),
        AlertRule(name="errors", metric="error-rate", above=0.1, window_seconds=10.0),
    )
)


async def test_the_other_alerts_are_raised_all_the_same() -> None:
    hostile = profiled("v1", sketches={"input": "AAAA", "input.0": "\N{SNOWMAN}" * 10_000})
    log = LogBuilder().append(trained("v1"), validated("v1"), promoted("v1"), hostile, AlertPolicySet(policy=RULES))
    fold = RegistryFold()
    for record in log.records:
        fold.apply(record)
    assert registry_state(fold.streams[MODEL]).versions[0].profiled
    stage = AgentStage()
    await stage.registry.start()
    for record in log.records:
        await stage.registry.log.append(MODEL.encode(), [record.value or b""])
    await stage.registry.catch_up()
    traffic = ObservedTraffic()
    clock = SetClock(traffic.now)
    agent = AlertAgent(stage.registry, clock=clock)
    clock.time += 2 * BEHIND
    traffic.now = clock.time
    try:
        observed = traffic.record("v1", answers=40, errors={"model-failure": 60}, sketches={"input": INPUT})
        agent.observe(observed, clock.time)
        await agent.tick(lambda _name: True)
        assert set(stage.registry.state(MODEL).alerts.raised) == {"errors"}
    finally:
        await stage.registry.stop()
