"""Raising and clearing: how long above, how long not, what silence means; the ids that make two processes agree."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from hotswap_events.alerts.commands import AlertCommand, ClearAlert, RaiseAlert, SetAlertPolicy
from hotswap_events.alerts.events import KEEP_AWAY_SECONDS, AlertPolicy, AlertRule
from hotswap_events.commands import Refusal
from hotswap_stream.application.alerts.figures import Figure, Measured
from hotswap_stream.application.alerts.judge import SILENCE_SECONDS_MIN, RuleWatch, judge, kept_away, watched
from hotswap_stream.domain.decide import decide
from hotswap_stream.domain.evolve import evolve
from hotswap_stream.domain.state.model import ModelState
from tests.support.examples import examples
from tests.support.samples.alerts import snooze_alert
from tests.support.samples.registry import EPOCH, MODEL, in_envelope, register

ABOVE, BELOW = Measured(value=0.5, count=100, figures={"errors.model-failure": 50.0}), Measured(value=0.01, count=100)


def rule(name: str = "error-rate", **fields: Any) -> AlertRule:
    defaults = {
        "metric": "error-rate",
        "above": 0.05,
        "for_seconds": 10.0,
        "clear_seconds": 20.0,
        "window_seconds": 8.0,
    }
    return AlertRule(name=name, **{**defaults, **fields})


class Watching:
    """A model's state, folded from what was decided, and the memory of its rules."""

    def __init__(self, *rules: AlertRule) -> None:
        self.state = ModelState(MODEL)
        self.watches: dict[str, RuleWatch] = {}
        self.said: list[AlertCommand] = []
        self.do(register())
        self.set_rules(*rules)

    def set_rules(self, *rules: AlertRule) -> None:
        policy = AlertPolicy(rules=rules)
        self.do(SetAlertPolicy(command_id=f"p{self.state.sequence}", actor="a", model_name=MODEL, policy=policy))

    def look(self, now_s: float, **figures: Figure) -> list[str]:
        """One look; what was said: `raise <rule>` or `clear <rule> <cause>`."""
        named = {name.replace("_", "-"): figure for name, figure in figures.items()}
        rules = self.state.alerts.effective_policy.rules
        self.watches = {each.name: self._watch(each, named[each.name], now_s) for each in rules}
        said = list(judge(MODEL, self.state.alerts, "v1", named, self.watches, now_s))
        for command in said:
            self.do(command)
        self.said += said
        return [
            f"raise {each.rule_name}" if isinstance(each, RaiseAlert) else f"clear {each.rule_name} {each.cause}"
            for each in said
            if isinstance(each, RaiseAlert | ClearAlert)
        ]

    def _watch(self, each: AlertRule, figure: Figure, now_s: float) -> RuleWatch:
        alerts = self.state.alerts
        raised = each.name in alerts.raised or kept_away(alerts, each.name, now_s)
        return watched(each, self.watches.get(each.name), figure, now_s, raised=raised)

    def clear_by_hand(self, name: str, **fields: Any) -> None:
        command_id = f"hand-{self.state.sequence}"
        self.do(ClearAlert(command_id=command_id, actor="a", model_name=MODEL, rule_name=name, **fields))

    def do(self, command: Any) -> None:
        decision = decide(self.state, command)
        assert not isinstance(decision, Refusal), decision
        for data in decision.events:
            event = in_envelope(data, sequence=self.state.sequence + 1, causationid=command.command_id)
            self.state = evolve(self.state, event)


@pytest.fixture
def watching() -> Watching:
    return Watching(rule())


def test_it_is_raised_after_having_been_above_for_long_enough(watching: Watching) -> None:
    assert [watching.look(now, error_rate=ABOVE) for now in (0, 5, 9.9)] == [[]] * 3
    assert watching.look(10, error_rate=ABOVE) == ["raise error-rate"]
    alert = watching.state.alerts.raised["error-rate"]
    assert (alert.value, alert.count, alert.figures) == (0.5, 100, {"errors.model-failure": 50.0})
    assert watching.look(11, error_rate=ABOVE) == []


@pytest.mark.parametrize("between", [BELOW, "too-little", "nothing"])
def test_above_must_be_without_a_gap(watching: Watching, between: Figure) -> None:
    watching.look(0, error_rate=ABOVE)
    watching.look(6, error_rate=between)
    assert watching.look(12, error_rate=ABOVE) == []
    assert watching.look(22, error_rate=ABOVE) == ["raise error-rate"]


def raised(watching: Watching) -> float:
    watching.look(0, error_rate=ABOVE)
    watching.look(10, error_rate=ABOVE)
    assert watching.state.alerts.raised
    return 10


def test_it_is_cleared_after_not_having_been_above(watching: Watching) -> None:
    now = raised(watching)
    assert watching.look(now + 1, error_rate=BELOW) == []
    assert watching.look(now + 15, error_rate=ABOVE) == []
    assert watching.look(now + 22, error_rate=BELOW) == []
    assert watching.look(now + 41.9, error_rate=BELOW) == []
    assert watching.look(now + 42, error_rate=BELOW) == ["clear error-rate recovered"]
    assert not watching.state.alerts.raised
    assert watching.look(now + 43, error_rate=BELOW) == []


def test_too_few_requests_neither_raise_nor_clear(watching: Watching) -> None:
    now = raised(watching)
    watching.look(now + 1, error_rate=BELOW)
    assert [watching.look(now + second, error_rate="too-little") for second in range(2, 500)] == [[]] * 498
    assert watching.look(now + 500, error_rate=BELOW) == ["clear error-rate recovered"]


@pytest.mark.parametrize(
    ("fields", "seconds"), [({}, 20.0), ({"window_seconds": 30.0}, 30.0), ({"clear_seconds": 1.0}, 8.0)]
)
def test_an_alert_of_a_model_without_requests_ends(fields: dict[str, Any], seconds: float) -> None:
    watching = Watching(rule(**fields))
    now = raised(watching)
    watching.look(now + 1, error_rate="nothing")
    assert watching.look(now + seconds, error_rate="nothing") == []
    assert watching.look(now + 1 + seconds, error_rate="nothing") == ["clear error-rate recovered"]


def test_a_short_silence_ends_no_alert() -> None:
    watching = Watching(rule(window_seconds=1.0, clear_seconds=1.0))
    now = raised(watching)
    watching.look(now + 1, error_rate="nothing")
    assert watching.look(now + 1 + SILENCE_SECONDS_MIN - 0.1, error_rate="nothing") == []
    watching.look(now + 7, error_rate="too-little")
    watching.look(now + 8, error_rate="nothing")
    assert watching.look(now + 12, error_rate="nothing") == []


def test_what_was_seen_under_another_rule_does_not_count(watching: Watching) -> None:
    watching.look(0, error_rate=ABOVE)
    watching.set_rules(rule(above=0.3))
    assert watching.look(10, error_rate=ABOVE) == []
    assert watching.look(20, error_rate=ABOVE) == ["raise error-rate"]


def test_a_process_that_starts_again_raises_nothing_twice_and_clears(watching: Watching) -> None:
    now = raised(watching)
    watching.watches = {}
    assert watching.look(now + 1, error_rate=ABOVE) == []
    assert watching.look(now + 30, error_rate=ABOVE) == []
    watching.watches = {}
    assert watching.look(now + 31, error_rate="nothing") == []
    assert watching.look(now + 32, error_rate=BELOW) == []
    assert watching.look(now + 52, error_rate=BELOW) == ["clear error-rate recovered"]


def test_an_alert_cleared_by_hand_comes_again_when_it_was_above_for_long_enough(watching: Watching) -> None:
    now = raised(watching)
    watching.look(now + 100, error_rate=ABOVE)
    watching.clear_by_hand("error-rate", keep_away_seconds=0.0)
    assert watching.look(now + 101, error_rate=ABOVE) == []
    assert watching.look(now + 111, error_rate=ABOVE) == ["raise error-rate"]


def test_an_alert_cleared_by_hand_is_kept_away_for_a_while_though_its_cause_holds(watching: Watching) -> None:
    raised(watching)
    watching.clear_by_hand("error-rate")
    cleared = EPOCH.timestamp() + watching.state.sequence
    assert [watching.look(cleared + second, error_rate=ABOVE) for second in (1, 11, 150, 299)] == [[]] * 4
    assert watching.look(cleared + KEEP_AWAY_SECONDS, error_rate=ABOVE) == []
    assert watching.look(cleared + KEEP_AWAY_SECONDS + 10, error_rate=ABOVE) == ["raise error-rate"]


def test_a_snooze_ends_by_its_time_or_with_its_rule(watching: Watching) -> None:
    watching.do(snooze_alert("error-rate", 60.0))
    snoozed = EPOCH.timestamp() + watching.state.sequence
    for now in (snoozed, snoozed + 10):
        watching.look(now, error_rate=ABOVE)
    assert set(watching.state.alerts.snoozes) == set(watching.state.alerts.raised) == {"error-rate"}
    watching.look(snoozed + 59, error_rate=ABOVE)
    assert watching.state.alerts.snoozes
    watching.look(snoozed + 60, error_rate=ABOVE)
    assert not watching.state.alerts.snoozes
    watching.do(snooze_alert("error-rate", 60.0))
    watching.set_rules(rule("other"))
    watching.look(snoozed + 61, other="nothing")
    assert not watching.state.alerts.snoozes


def test_an_alert_whose_rule_the_default_policy_lost_is_cleared(watching: Watching) -> None:
    now = raised(watching)
    alerts = watching.state.alerts
    other = type(alerts)(AlertPolicy(rules=()), alerts.raised, alerts.raised_total, alerts.ended)
    [command] = judge(MODEL, other, "v1", {}, {}, now)
    assert isinstance(command, ClearAlert)
    assert (command.cause, command.raised_sequence) == ("rule-changed", alerts.raised["error-rate"].sequence)


def test_rules_are_judged_by_themselves() -> None:
    watching = Watching(rule("one", for_seconds=0.0), rule("two", for_seconds=0.0), rule("three", for_seconds=0.0))
    assert watching.look(0, one=ABOVE, two=BELOW, three=ABOVE) == ["raise one", "raise three"]
    assert watching.look(1, one=BELOW, two=ABOVE, three=ABOVE) == ["raise two"]
    assert watching.look(21, one=BELOW, two=BELOW, three=BELOW) == ["clear one recovered"]


FIGURES = st.sampled_from([ABOVE, BELOW, "too-little", "nothing"])


@given(st.lists(st.tuples(st.floats(0.1, 15.0), FIGURES), max_size=80), st.lists(st.integers(0, 79), max_size=3))
@settings(max_examples=examples(150), deadline=None)
def test_raising_and_clearing_alternate_whatever_comes(looks: list[tuple[float, Figure]], restarts: list[int]) -> None:
    watching, now, said = Watching(rule()), 0.0, list[str]()
    for number, (seconds, figure) in enumerate(looks):
        now += seconds
        if number in restarts:
            watching.watches = {}
        said += watching.look(now, error_rate=figure)
    assert alternating(said)
    ids = [command.command_id for command in watching.said]
    assert len(set(ids)) == len(ids)


@given(st.lists(st.tuples(st.floats(0.1, 15.0), FIGURES), max_size=40))
@settings(max_examples=examples(60), deadline=None)
def test_two_processes_that_find_the_same_say_it_with_the_same_ids(looks: list[tuple[float, Figure]]) -> None:
    watching, now = Watching(rule()), 0.0
    for seconds, figure in looks:
        now += seconds
        alerts, watches = watching.state.alerts, watching.watches
        before = len(watching.said)
        watching.look(now, error_rate=figure)
        on = "error-rate" in alerts.raised
        other = {"error-rate": watched(rule(), watches.get("error-rate"), figure, now, raised=on)}
        assert list(judge(MODEL, alerts, "v1", {"error-rate": figure}, other, now)) == watching.said[before:]
        for command in watching.said[before:]:
            decision = decide(watching.state, command)
            assert not isinstance(decision, Refusal)
            assert decision.events == ()


def alternating(said: Iterable[str]) -> bool:
    expected = "raise"
    for each in said:
        if not each.startswith(expected):
            return False
        expected = "clear" if expected == "raise" else "raise"
    return True


def test_a_figure_that_falls_is_raised_below_and_cleared_above() -> None:
    falling = rule("accuracy", metric="accuracy", above=UNSET, below=0.9, for_seconds=2.0, clear_seconds=3.0)
    watching = Watching(falling)
    low, high = Measured(value=0.5, count=100), Measured(value=0.9, count=100)
    assert [watching.look(now, accuracy=high) for now in range(5)] == [[]] * 5
    assert [watching.look(now, accuracy=low) for now in (5, 6)] == [[], []]
    assert watching.look(7, accuracy=low) == ["raise accuracy"]
    assert watching.said[-1].reason == "accuracy is 0.5, below 0.9 for 2 s"
    assert [watching.look(now, accuracy=high) for now in (8, 9, 10)] == [[], [], []]
    assert watching.look(11, accuracy=high) == ["clear accuracy recovered"]
    assert watching.said[-1].reason == "accuracy is 0.9, and was not below 0.9 for 3 s"
