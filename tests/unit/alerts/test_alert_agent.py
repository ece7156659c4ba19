"""The alert agent in memory: observations and lag in, events in the log out; nothing of it touches the rollouts."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import structlog

from hotswap_events.alerts.commands import ClearAlert, RaiseAlert
from hotswap_events.alerts.events import AlertRule
from hotswap_events.inference.observation import LatencyCounts
from hotswap_events.serving.commands import DisableModel, EnableModel
from hotswap_stream import bootstrap
from hotswap_stream.application.descriptions.alert import describe_crossing
from hotswap_stream.application.inference.fleet import FORGET_SECONDS
from hotswap_stream.application.windows.split import SplitSeries
from hotswap_stream.errors import ConfigurationError
from hotswap_stream.settings import Settings
from tests.support.samples.profiles import profile, sketch_of, vast_sketch
from tests.support.samples.registry import MODEL, register, switch
from tests.support.samples.training import cancel, claim, request
from tests.support.stages.alerting import Alerting, open_alerting

ERRORS = AlertRule(name="errors", metric="error-rate", above=0.1, window_seconds=10.0, clear_seconds=5.0)
LAG = AlertRule(name="lag", metric="lag", above=100.0, clear_seconds=1.0)
QUIET = AlertRule(
    name="quiet", metric="answers-per-second", below=5.0, window_seconds=10.0, for_seconds=2.0, clear_seconds=2.0
)
AGREEING = AlertRule(name="agreeing", metric="agreement", below=0.8, window_seconds=10.0, clear_seconds=5.0)
DRIFT = AlertRule(name="drift", metric="input-drift", above=0.2, window_seconds=10.0, clear_seconds=5.0)


@pytest.fixture
async def alerting() -> AsyncIterator[Alerting]:
    async with open_alerting() as alerting:
        yield alerting


FAILING: dict[str, Any] = {"answers": 20, "errors": {"model-failure": 20}}
FINE: dict[str, Any] = {"answers": 40}


async def test_a_worker_that_falls_silent_is_an_alert_until_it_is_back_or_stops(alerting: Alerting) -> None:
    """By the default policy, though nobody asks the model anything."""

    async def seconds(count: int, *heard: str) -> None:
        for _second in range(count):
            for worker in heard:
                alerting.fleet.say(worker)
            await alerting.seconds(1)

    await seconds(15, "w1", "w2")
    assert not alerting.alerts.raised
    await seconds(15, "w1")
    (alert,) = alerting.alerts.raised.values()
    assert (alert.rule.name, alert.value, alert.count) == ("silent-worker", 1.0, 2)
    assert list(alert.figures) == ["silent-seconds.w2"]
    await seconds(10, "w1", "w2")
    assert (alerting.alerts.ended[-1].cause, alerting.alerts.raised) == ("recovered", {})

    await seconds(12, "w2")
    assert "silent-worker" in alerting.alerts.raised
    alerting.fleet.say("w1", goodbye=True)
    await seconds(10, "w2")
    assert not alerting.alerts.raised, "it was told to stop"

    alerting.fleet.known = False
    await seconds(30)
    assert not alerting.alerts.raised, "whoever cannot hear says nothing of silence"
    alerting.fleet.known = True
    await seconds(2)
    assert "silent-worker" in alerting.alerts.raised
    alerting.clock.time += timedelta(seconds=FORGET_SECONDS)
    await seconds(70)
    assert not alerting.alerts.raised, "after an hour it is forgotten"


async def test_a_training_run_that_no_runner_takes_is_an_alert_until_one_does(alerting: Alerting) -> None:
    """By the default policy, though nobody asks the model anything."""
    await alerting.do(request("run-1"), request("run-2"))
    asked = alerting.stage.registry.state(MODEL).runs["run-1"].requested_at
    assert asked is not None
    alerting.clock.time = asked
    await alerting.seconds(5)
    assert not alerting.alerts.raised
    alerting.clock.time += timedelta(seconds=600)
    await alerting.seconds(2)
    (alert,) = alerting.alerts.raised.values()
    assert (alert.rule.name, alert.count, alert.value > 600.0) == ("waiting-run", 2, True)
    await alerting.do(claim("run-1"), cancel("run-2"))
    await alerting.seconds(10)
    assert (alerting.alerts.ended[-1].cause, alerting.alerts.raised) == ("recovered", {})


async def test_series_that_lie_in_several_partitions_are_an_alert_until_they_do_not(alerting: Alerting) -> None:
    """By the default policy, though nobody asks the model anything."""
    await alerting.seconds(3)
    assert (alerting.split.watched, alerting.alerts.raised) == (frozenset({MODEL}), {})
    alerting.split.found[MODEL] = SplitSeries(count=0, of=20, examples=())
    await alerting.seconds(3)
    assert not alerting.alerts.raised
    alerting.split.found[MODEL] = SplitSeries(count=12, of=20, examples=("a in 1, 2",))
    await alerting.seconds(3)
    (alert,) = alerting.alerts.raised.values()
    assert (alert.rule.name, alert.value, alert.count) == ("split-series", 12.0, 20)
    assert describe_crossing(alert.rule, alert.value) == "split-series 12 series is above 0 series"
    alerting.split.found.clear()
    await alerting.seconds(70)
    assert (alerting.alerts.ended[-1].cause, alerting.alerts.raised) == ("recovered", {}), "nothing is known any more"
    await alerting.rules(ERRORS)
    await alerting.seconds(1)
    assert alerting.split.watched == frozenset(), "nobody asks for it"


async def test_errors_raise_an_alert_that_clears_when_they_are_over(alerting: Alerting) -> None:
    await alerting.rules(ERRORS)
    await alerting.seconds(5, **FAILING)
    alert = alerting.alerts.raised["errors"]
    assert (alert.value, alert.model_version, alert.rule) == (0.5, "v1", ERRORS)
    assert alert.figures["error-rate.v1"] == 0.5
    await alerting.seconds(30, **FINE)
    assert not alerting.alerts.raised
    [ended] = alerting.alerts.ended
    assert ended.cause == "recovered"
    assert ended.value is not None
    assert ended.value <= ERRORS.threshold
    assert alerting.agent.said_count == 2


async def test_answers_that_stop_are_an_alert_though_nothing_is_heard(alerting: Alerting) -> None:
    await alerting.rules(QUIET)
    await alerting.seconds(8)
    assert not alerting.alerts.raised, "what came before it began, nobody told it"
    await alerting.seconds(6)
    alert = alerting.alerts.raised["quiet"]
    assert (alert.value, alert.count, alert.model_version) == (0.0, 0, "v1")
    await alerting.seconds(20, **FINE)
    [ended] = alerting.alerts.ended
    assert (ended.cause, alerting.alerts.raised) == ("recovered", {})
    assert ended.value is not None
    assert ended.value >= QUIET.threshold
    await alerting.seconds(20)
    assert alerting.alerts.raised_total == 2
    again = alerting.new_agent()
    for _second in range(8):
        alerting.clock.time += timedelta(seconds=1)
        await again.tick(lambda _name: True)
    assert "quiet" in alerting.alerts.raised, "another process cannot know yet"

    await alerting.do(DisableModel(command_id="off", actor="alice", model_name=MODEL))
    await alerting.seconds(20)
    assert not alerting.alerts.raised, "nobody is to answer"


async def test_agreement_that_falls_is_an_alert(alerting: Alerting) -> None:
    await alerting.rules(AGREEING)
    shadow: dict[str, Any] = {"role": "shadow", "model_version": "v2", "answers": 20}
    await alerting.seconds(15, **shadow, agreed=19, disagreed=1)
    assert not alerting.alerts.raised
    await alerting.seconds(15, **shadow, agreed=5, disagreed=15)
    alert = alerting.alerts.raised["agreeing"]
    assert alert.value < AGREEING.threshold
    assert alert.count >= AGREEING.answers_min
    await alerting.seconds(30, **shadow, agreed=20, disagreed=0)
    assert alerting.alerts.ended[-1].cause == "recovered"


async def test_a_second_process_and_a_restart_raise_nothing_twice(alerting: Alerting) -> None:
    await alerting.rules(ERRORS)
    other = alerting.new_agent()
    for _second in range(5):
        await alerting.seconds(1, **FAILING)
        other.observe(alerting.record(**FAILING), alerting.clock.time)
        await other.tick(lambda _name: True)
    assert alerting.alerts.raised_total == 1
    sequence = alerting.alerts.raised["errors"].sequence
    alerting.agent = alerting.new_agent()
    await alerting.seconds(20, **FAILING)
    assert (alerting.alerts.raised["errors"].sequence, alerting.alerts.raised_total) == (sequence, 1)
    await alerting.seconds(30, **FINE)
    assert (len(alerting.alerts.ended), alerting.alerts.raised_total) == (1, 1)


async def test_an_alert_ends_with_the_requests(alerting: Alerting) -> None:
    await alerting.rules(ERRORS)
    await alerting.seconds(5, **FAILING)
    assert alerting.alerts.raised
    await alerting.seconds(40)
    [ended] = alerting.alerts.ended
    assert (ended.cause, ended.value) == ("recovered", None)


async def test_only_the_owner_of_a_model_says_something(alerting: Alerting) -> None:
    await alerting.rules(ERRORS)
    await alerting.seconds(10, owns=False, **FAILING)
    assert (alerting.alerts.raised_total, alerting.lag.asked) == (0, [])


async def test_nothing_is_said_while_older_observations_are_read(alerting: Alerting) -> None:
    await alerting.rules(ERRORS)
    await alerting.seconds(5, **FAILING)
    assert alerting.alerts.raised
    for _second in range(60):
        alerting.agent.observe(alerting.record(**FINE), alerting.clock.time - timedelta(minutes=5))
        await alerting.seconds(1)
    assert alerting.alerts.raised
    await alerting.seconds(40, **FINE)
    assert not alerting.alerts.raised


async def test_agents_whose_clock_is_ahead_say_that_they_see_nothing_and_then_go_by_the_brokers(
    alerting: Alerting,
) -> None:
    await alerting.rules(ERRORS)
    with structlog.testing.capture_logs() as said:
        for second in range(200):
            alerting.agent.observe(alerting.record(**FAILING), alerting.clock.time - timedelta(seconds=7))
            await alerting.seconds(1)
            if second == 80:
                assert not alerting.alerts.raised
    told = [entry["event"] for entry in said]
    assert told[:2] == ["alerts_blind", "clocks_differ"]
    assert "observations that come are 7 s old" in said[0]["cause"]
    assert "alerts_see_again" in told
    assert alerting.alerts.raised


async def test_a_clock_that_is_set_back_silences_nothing(alerting: Alerting) -> None:
    await alerting.rules(ERRORS, LAG)
    await alerting.seconds(20, **FINE)
    alerting.clock.time -= timedelta(hours=1)
    alerting.lag.requests = 500
    await alerting.seconds(20, **FAILING)
    assert set(alerting.alerts.raised) == {"errors", "lag"}


async def test_lag_is_asked_for_models_with_a_rule_and_broker_trouble_says_nothing(alerting: Alerting) -> None:
    await alerting.rules(ERRORS)
    await alerting.seconds(10)
    assert alerting.lag.asked == []
    await alerting.rules(LAG, AlertRule(name="backlog", metric="lag", above=5_000.0))
    alerting.lag.requests, alerting.lag.down = 500, True
    await alerting.seconds(20)
    assert (alerting.lag.asked[-1], alerting.alerts.raised_total) == ({MODEL: 100.0}, 0)
    alerting.lag.down = False
    await alerting.seconds(6)
    assert set(alerting.alerts.raised) == {"lag"}
    assert alerting.alerts.raised["lag"].value == 500
    alerting.lag.down, alerting.lag.requests = True, 0
    await alerting.seconds(20)
    assert set(alerting.alerts.raised) == {"lag"}
    alerting.lag.down = False
    await alerting.seconds(8)
    assert not alerting.alerts.raised


async def test_requests_that_stand_still_raise_an_alert_without_a_policy_of_anybodys(alerting: Alerting) -> None:
    """A partition stood still for ever, and nobody heard of it."""
    assert alerting.alerts.policy is None
    alerting.lag.requests, alerting.lag.standstill_seconds = 3, 60.0
    await alerting.seconds(12)
    assert not alerting.alerts.raised
    alerting.lag.standstill_seconds = 61.0
    await alerting.seconds(6)
    alert = alerting.alerts.raised["standstill"]
    assert (alert.value, alert.rule.severity, alert.figures) == (61.0, "critical", {"requests-waiting": 3.0})
    alerting.lag.requests, alerting.lag.standstill_seconds = 0, 0.0
    await alerting.seconds(30)
    assert not alerting.alerts.raised
    [ended] = alerting.alerts.ended
    assert ended.cause == "recovered"


async def test_a_model_that_is_switched_off_does_not_stand_still(alerting: Alerting) -> None:
    alerting.lag.requests, alerting.lag.standstill_seconds = 3, 1_000.0
    await alerting.do(DisableModel(command_id="off", actor="alice", model_name=MODEL, reason="for a test"))
    await alerting.seconds(20)
    assert not alerting.alerts.raised
    await alerting.do(EnableModel(command_id="on", actor="alice", model_name=MODEL, reason="for a test"))
    await alerting.seconds(6)
    assert set(alerting.alerts.raised) == {"standstill"}


@pytest.mark.parametrize(("shift", "drifted"), [(0.0, False), (3.0, True)])
async def test_live_inputs_are_compared_with_the_active_versions_profile(
    alerting: Alerting, shift: float, drifted: bool
) -> None:
    values = [number % 100 / 25 for number in range(2_000)]
    await alerting.do(profile(sketches={"input": sketch_of(values)}))
    await alerting.rules(DRIFT)
    live = sketch_of([value + shift for value in values[:400]])
    await alerting.seconds(5, answers=400, sketches={"input": live, "input.0": "!"})
    assert bool(alerting.alerts.raised) is drifted
    if drifted:
        assert alerting.alerts.raised["drift"].figures["distance.input"] > 0.5
        await alerting.do(register(), switch("v2"))
        await alerting.seconds(30, model_version="v2", answers=400, sketches={"input": live})
        assert not alerting.alerts.raised, "v2 has no profile that it could differ from"


async def test_what_cannot_be_read_harms_nobody(alerting: Alerting) -> None:
    await alerting.do(profile(sketches={"input": sketch_of([1.0, 2.0])}))
    await alerting.rules(ERRORS, DRIFT)
    await alerting.seconds(5, sketches={"input": "!"}, **FAILING)
    assert set(alerting.alerts.raised) == {"errors"}
    alerting.agent.observe(alerting.record(**FINE), alerting.clock.time + timedelta(days=1))
    await alerting.seconds(3, **FAILING)
    assert set(alerting.alerts.raised) == {"errors"}


async def test_hostile_counts_silence_no_other_rule(alerting: Alerting) -> None:
    slow = AlertRule(name="slow", metric="latency-ms", above=1.0, window_seconds=10.0)
    await alerting.do(profile(sketches={"input": sketch_of([1.0, 2.0])}))
    await alerting.rules(slow, DRIFT, ERRORS, LAG)
    alerting.lag.requests = 500
    hostile = LatencyCounts(buckets={10**6: 5, -(10**6): 5, 40: 100})
    await alerting.seconds(8, total=hostile, sketches={"input": vast_sketch()}, **FAILING)
    assert set(alerting.alerts.raised) == {"slow", "errors", "lag"}
    assert alerting.alerts.raised["slow"].value == 32.0


async def test_an_alert_that_an_operator_clears_does_not_come_back_at_once(alerting: Alerting) -> None:
    await alerting.rules(ERRORS)
    await alerting.seconds(5, **FAILING)
    first = alerting.alerts.raised["errors"].sequence
    await alerting.do(ClearAlert(command_id="c", actor="alice", model_name=MODEL, rule_name="errors"))
    await alerting.seconds(5, **FAILING)
    assert not alerting.alerts.raised
    assert set(alerting.alerts.kept_away) == {"errors"}
    command: dict[str, Any] = {"command_id": "d", "actor": "alice", "model_name": MODEL, "rule_name": "errors"}
    alert = RaiseAlert(**command, value=0.5, above=0.1)
    await alerting.do(alert)
    await alerting.do(ClearAlert(**{**command, "command_id": "e"}, keep_away_seconds=0.0))
    await alerting.seconds(1, **FAILING)
    assert alerting.alerts.raised["errors"].sequence > first


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e9, float("nan")])
async def test_a_pace_that_cannot_be_kept_is_refused(seconds: float) -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", alert_lag_seconds=seconds)
    with pytest.raises(ConfigurationError, match="HOTSWAP_ALERT_LAG_SECONDS"):
        await bootstrap.run_control_agents(settings, asyncio.Event())
