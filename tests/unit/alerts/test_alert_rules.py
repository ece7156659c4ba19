"""Alerts and their policy: what each command leads to, what is refused, and what contradicts."""

import math
from typing import Any

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace

from hotswap_events.alerts.events import AlertPolicy, AlertRule
from hotswap_events.registry.events import RegistryEvent
from hotswap_stream.application.descriptions.alert import describe_rule
from hotswap_stream.domain.alerts.limits import wrong_alert_policy
from hotswap_stream.domain.evolve import IllegalEventError
from hotswap_stream.domain.state.alerts import DEFAULT_ALERT_POLICY
from tests.support.decider_specification import given, state_after
from tests.support.samples.alerts import (
    FAILING,
    FIGURES,
    NOTHING,
    SLOW,
    WATCHED,
    WORSE,
    alert_cleared,
    alert_policy_set,
    alert_raised,
    clear_alert,
    raise_alert,
    set_alert_policy,
)
from tests.support.samples.registry import EPOCH, promoted, trained

V1 = (trained("v1"), promoted("v1"))
ON = (*V1, alert_policy_set())
"""Sequence 3 set the policy; what comes next has 4."""
RAISED = (*ON, alert_raised(FAILING, 0.065, count=1_200, figures=FIGURES, model_version="v1"))


class TestPolicy:
    def test_is_set_and_not_set_twice(self) -> None:
        given(*V1).when(set_alert_policy()).then(alert_policy_set())
        given(*ON).when(set_alert_policy()).then_nothing("holds already")

    def test_the_default_may_be_set_to_stay(self) -> None:
        given(*V1).when(set_alert_policy(DEFAULT_ALERT_POLICY)).then(alert_policy_set(DEFAULT_ALERT_POLICY))

    def test_none_at_all(self) -> None:
        given(*V1).when(set_alert_policy(NOTHING)).then(alert_policy_set(NOTHING))

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"name": "Slow"}, "lower-case"),
            ({"name": ""}, "lower-case"),
            ({"name": "x" * 64}, "at most 63"),
            ({"above": math.nan}, "milliseconds, from 0 to 600,000"),
            ({"above": math.inf}, "milliseconds"),
            ({"above": -1.0}, "milliseconds"),
            ({"above": UNSET}, "needs either above or below, and has neither"),
            ({"below": 5.0}, "needs either above or below, and has both"),
            (
                {"above": UNSET, "below": 1.5, "metric": "accuracy"},
                "below of rule 'slow' is 1.5; accuracy needs a share",
            ),
            ({"above": UNSET, "below": math.nan, "metric": "hit-rate"}, "hit-rate needs a share from 0 to 1"),
            ({"above": UNSET, "below": -0.1, "metric": "agreement"}, "agreement needs a share from 0 to 1"),
            ({"above": UNSET, "below": 0.0, "metric": "answers-per-second"}, "no figure falls below it"),
            ({"above": UNSET, "below": 1e10, "metric": "answers-per-second"}, "answers a second, from 0"),
            ({"above": 5.0, "metric": "error-rate"}, "error-rate needs a share from 0 to 1"),
            ({"above": 1.1, "metric": "input-drift"}, "a distance from 0 to 1"),
            ({"above": 1.1, "metric": "score-drift"}, "a distance from 0 to 1"),
            ({"above": math.inf, "metric": "lag"}, "requests"),
            ({"quantile": 0.0}, "more than 0 and less than 1"),
            ({"quantile": 1.0}, "more than 0 and less than 1"),
            ({"quantile": math.nan}, "more than 0 and less than 1"),
            ({"window_seconds": 0.5}, "from 1 to 86,400"),
            ({"window_seconds": math.nan}, "from 1 to 86,400"),
            ({"answers_min": 0}, "from 1 to 10,000,000"),
            ({"for_seconds": -1.0}, "from 0 to 86,400"),
            ({"clear_seconds": 0.9}, "from 1 to 86,400"),
            ({"clear_seconds": 86_401.0}, "from 1 to 86,400"),
        ],
    )
    def test_has_limits(self, changes: dict[str, Any], words: str) -> None:
        policy = AlertPolicy(rules=(FAILING, replace(SLOW, **changes)))
        given(*V1).when(set_alert_policy(policy)).then_refused("invalid-value", words)

    def test_each_name_once_and_not_too_many(self) -> None:
        twice = AlertPolicy(rules=(SLOW, replace(FAILING, name="slow")))
        given(*V1).when(set_alert_policy(twice)).then_refused("invalid-value", "two rules are named 'slow'")
        many = AlertPolicy(rules=tuple(replace(SLOW, name=f"slow-{number}") for number in range(17)))
        given(*V1).when(set_alert_policy(many)).then_refused("invalid-value", "17 rules", "at most 16")
        assert wrong_alert_policy(AlertPolicy(rules=many.rules[:16])) is None

    def test_a_rule_that_went_or_changed_ends_its_alert_in_the_same_decision(self) -> None:
        both = (*RAISED, alert_raised(SLOW, 64.0))
        given(*both).when(set_alert_policy(NOTHING)).then(
            alert_policy_set(NOTHING),
            alert_cleared("failing", 4, "rule-changed"),
            alert_cleared("slow", 5, "rule-changed"),
        )
        laxer = AlertPolicy(rules=(SLOW, replace(FAILING, above=0.1)))
        given(*both).when(set_alert_policy(laxer)).then(
            alert_policy_set(laxer), alert_cleared("failing", 4, "rule-changed")
        )

    def test_an_alert_whose_rule_stays_goes_on(self) -> None:
        reordered = AlertPolicy(rules=(FAILING, SLOW))
        given(*RAISED).when(set_alert_policy(reordered)).then(alert_policy_set(reordered))

    def test_the_default_one_holds_until_then(self) -> None:
        state = state_after(*V1)
        assert state.alerts.policy is None
        assert state.alerts.effective_policy == DEFAULT_ALERT_POLICY
        assert wrong_alert_policy(DEFAULT_ALERT_POLICY) is None
        assert state_after(*ON).alerts.effective_policy == WATCHED


class TestRaise:
    def test_with_the_rule_and_all_figures(self) -> None:
        command = raise_alert(FAILING, 0.065, count=1_200, figures=FIGURES, model_version="v1")
        given(*ON).when(command).then(alert_raised(FAILING, 0.065, count=1_200, figures=FIGURES, model_version="v1"))

    def test_under_the_default_policy(self) -> None:
        lag: AlertRule = next(rule for rule in DEFAULT_ALERT_POLICY.rules if rule.metric == "lag")
        given(*V1).when(raise_alert(lag, 20_000.0)).then(alert_raised(lag, 20_000.0))

    def test_once(self) -> None:
        given(*RAISED).when(raise_alert(FAILING, 0.9)).then_nothing("raised already")
        given(*RAISED).when(raise_alert(FAILING, 0.9, above=0.5)).then_nothing("raised already")

    def test_not_by_a_rule_that_is_not_there(self) -> None:
        given(*ON).when(raise_alert(FAILING, 0.9, rule_name="lag")).then_refused(
            "unknown-rule", "no rule 'lag'", "it has slow, failing", legal=("slow", "failing")
        )
        given(*V1, alert_policy_set(NOTHING)).when(raise_alert(FAILING, 0.9)).then_refused("unknown-rule", "none")

    def test_not_against_another_threshold(self) -> None:
        given(*ON).when(raise_alert(FAILING, 0.9, above=0.05)).then_refused(
            "conflict", "against above 0.05", "says above 0.01"
        )

    def test_not_at_or_below_the_threshold(self) -> None:
        for value in (0.01, 0.001):
            given(*ON).when(raise_alert(FAILING, value)).then_refused("invalid-value", "is raised above 0.01")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"figures": {"x": math.nan}}, "finite"),
            ({"figures": {str(number): 1.0 for number in range(65)}}, "at most 64"),
        ],
    )
    def test_limits_on_what_is_measured(self, changes: dict[str, Any], words: str) -> None:
        given(*ON).when(raise_alert(FAILING, 0.9, **changes)).then_refused("invalid-value", words)

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_value_is_a_number(self, value: float) -> None:
        given(*ON).when(raise_alert(FAILING, value)).then_refused("invalid-value", "finite")
        given(*RAISED).when(clear_alert("failing", value=value)).then_refused("invalid-value", "finite")

    def test_not_for_a_version_that_is_not_there(self) -> None:
        given(*ON).when(raise_alert(FAILING, 0.9, model_version="v9")).then_refused("unknown-version", legal=("v1",))

    def test_of_a_model_that_does_not_exist(self) -> None:
        given().when(raise_alert(FAILING, 0.9)).then_refused("unknown-model")


class TestClear:
    def test_by_hand(self) -> None:
        given(*RAISED).when(clear_alert("failing")).then(alert_cleared("failing", 4, "operator"))

    def test_because_it_recovered(self) -> None:
        command = clear_alert("failing", "recovered", value=0.002, figures={"errors": 2.0}, raised_sequence=4)
        given(*RAISED).when(command).then(
            alert_cleared("failing", 4, "recovered", value=0.002, figures={"errors": 2.0})
        )

    def test_not_one_that_is_not_raised(self) -> None:
        given(*ON).when(clear_alert("failing")).then_nothing("is not raised")

    def test_nothing_that_no_rule_is_named(self) -> None:
        given(*RAISED).when(clear_alert("faling")).then_refused("unknown-rule", legal=("slow", "failing"))

    def test_late_for_a_rule_that_went(self) -> None:
        given(*ON).when(clear_alert("gone", "recovered", raised_sequence=2)).then_nothing("is not raised")

    def test_not_a_later_one_than_was_measured(self) -> None:
        again = (*RAISED, alert_cleared("failing", 4, "recovered"), alert_raised(FAILING, 0.5))
        given(*again).when(clear_alert("failing", "recovered", raised_sequence=4)).then_refused(
            "conflict", "raised at sequence 4", "raised at 6"
        )

    def test_limits_on_what_is_measured(self) -> None:
        given(*RAISED).when(clear_alert("failing", figures={"x": math.inf})).then_refused("invalid-value", "finite")


class TestState:
    def test_what_is_raised(self) -> None:
        alerts = state_after(*RAISED).alerts
        alert = alerts.raised["failing"]
        assert (alert.rule, alert.sequence, alert.value, alert.count) == (FAILING, 4, 0.065, 1_200)
        assert (alert.figures, alert.model_version, alerts.raised_total) == (FIGURES, "v1", 1)
        assert alert.at > EPOCH

    def test_what_ended(self) -> None:
        alerts = state_after(*RAISED, alert_cleared("failing", 4, "recovered", value=0.002)).alerts
        assert alerts.raised == {}
        (ended,) = alerts.ended
        assert (ended.alert.sequence, ended.sequence, ended.cause, ended.value) == (4, 5, "recovered", 0.002)

    def test_only_the_last_twenty_are_kept(self) -> None:
        events: list[RegistryEvent] = list(ON)
        for _ in range(25):
            events.append(alert_raised(FAILING, 0.5))
            events.append(alert_cleared("failing", len(events), "recovered"))
        alerts = state_after(*events).alerts
        assert len(alerts.ended) == 20
        assert alerts.ended[-1].sequence == len(events)
        assert alerts.raised_total == 25


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (alert_raised(FAILING, 0.9), "is raised already"),
        (alert_cleared("slow", 4, "recovered"), "is not raised"),
        (alert_cleared("failing", 3, "recovered"), "was raised at 4, not at 3"),
    ],
)
def test_an_event_that_contradicts_the_state(event: RegistryEvent, words: str) -> None:
    with pytest.raises(IllegalEventError, match=words):
        state_after(*RAISED, event)


class TestFalling:
    """Rules on figures that fall."""

    ON = (*V1, alert_policy_set(AlertPolicy(rules=(WORSE, SLOW))))

    def test_is_raised_below_alone(self) -> None:
        given(*self.ON).when(raise_alert(WORSE, 0.5, count=60)).then(alert_raised(WORSE, 0.5, count=60))
        given(*self.ON).when(raise_alert(WORSE, 0.9)).then_refused("invalid-value", "is raised below 0.9")
        given(*self.ON).when(raise_alert(WORSE, 1.0)).then_refused("invalid-value", "is raised below 0.9")

    def test_must_have_been_measured_against_the_same_side(self) -> None:
        for asked, words in (
            ({"above": 0.9, "below": UNSET}, "measured against above 0.9, but the rule 'worse' of 'digits' says below"),
            ({"below": 0.8}, "measured against below 0.8"),
            ({"below": UNSET}, "measured against nothing"),
        ):
            given(*self.ON).when(raise_alert(WORSE, 0.5, **asked)).then_refused("conflict", words)
        wrong_side = raise_alert(SLOW, 64.0, above=UNSET, below=50.0)
        given(*self.ON).when(wrong_side).then_refused("conflict", "says above 50")

    def test_a_rule_that_turns_round_ends_its_alert(self) -> None:
        turned = AlertPolicy(rules=(replace(WORSE, above=0.9, below=UNSET), SLOW))
        raised = (*self.ON, alert_raised(WORSE, 0.5))
        given(*raised).when(set_alert_policy(turned)).then(
            alert_policy_set(turned), alert_cleared("worse", 4, "rule-changed")
        )

    @pytest.mark.parametrize("fields", [{}, {"above": 0.5, "below": 0.2}])
    def test_a_rule_that_nobody_would_accept_is_read_and_judged(self, fields: dict[str, Any]) -> None:
        """Anybody can write it into the log."""
        odd = AlertRule(name="odd", metric="accuracy", **fields)
        state = state_after(*V1, alert_policy_set(AlertPolicy(rules=(odd,))))
        assert state.alerts.rule("odd") == odd
        assert odd.beyond(0.1) == bool(fields)
        assert describe_rule(odd)

    def test_what_was_written_before_keeps_its_bytes(self) -> None:
        assert b"below" not in msgspec.json.encode(SLOW)
        assert b"above" not in msgspec.json.encode(WORSE)
        assert msgspec.json.decode(msgspec.json.encode(WORSE), type=AlertRule) == WORSE
