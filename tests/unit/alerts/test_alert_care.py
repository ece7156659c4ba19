"""Acknowledging and snoozing: what each command leads to, who and why, and what listeners are spared."""

import msgspec
import pytest

from hotswap_events.alerts.care import AlertAcknowledged, AlertSnoozed, AlertSnoozeEnded
from hotswap_events.codec import REGISTRY_CODEC
from hotswap_events.registry.events import RegistryEvent
from hotswap_stream.application.alerts.view import ModelAlerts, find_alerts
from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.webhooks.message import event_type, is_snoozed
from tests.support.decider_specification import given, state_after
from tests.support.samples.alerts import (
    FAILING,
    acknowledge_alert,
    alert_cleared,
    alert_policy_set,
    alert_raised,
    clear_alert,
    end_alert_snooze,
    raise_alert,
    set_alert_policy,
    snooze_alert,
)
from tests.support.samples.registry import MODEL, in_envelope, promoted, trained

ON = (trained("v1"), promoted("v1"), alert_policy_set())
RAISED = (*ON, alert_raised(FAILING, 0.065))
ACKNOWLEDGED = AlertAcknowledged(rule_name="failing", raised_sequence=4)
SNOOZED = AlertSnoozed(rule_name="failing", seconds=7_200.0, raised_sequence=4)


def test_somebody_knows_of_an_alert_until_it_is_over() -> None:
    given(*RAISED).when(acknowledge_alert("failing")).then(ACKNOWLEDGED)
    given(*RAISED, ACKNOWLEDGED).when(acknowledge_alert("failing")).then_nothing("alice has acknowledged")
    given(*RAISED, ACKNOWLEDGED).when(acknowledge_alert("failing", actor="bob")).then(ACKNOWLEDGED)
    given(*RAISED).when(acknowledge_alert("failing", raised_sequence=9)).then_refused("conflict", "raised at 4")
    given(*ON).when(acknowledge_alert("failing")).then_refused("illegal-step", "not raised", legal=("snooze",))
    given(*ON).when(acknowledge_alert("fail")).then_refused("unknown-rule", legal=("slow", "failing"))
    again = (*RAISED, ACKNOWLEDGED, alert_cleared("failing", 4, "recovered"), alert_raised(FAILING, 0.2))
    assert state_after(*again).alerts.acknowledged == {}


def test_a_rule_is_snoozed_and_what_happens_meanwhile_says_so() -> None:
    given(*ON).when(snooze_alert("failing")).then(AlertSnoozed(rule_name="failing", seconds=7_200.0))
    outcome = given(*RAISED).when(snooze_alert("failing"))
    outcome.then(SNOOZED)
    outcome.and_says("told of it again when the snooze ends")
    quiet = (*ON, AlertSnoozed(rule_name="failing", seconds=60.0))
    given(*quiet).when(raise_alert(FAILING, 0.5)).then(alert_raised(FAILING, 0.5, snoozed=True))
    given(*RAISED, SNOOZED).when(clear_alert("failing", "recovered")).then(
        alert_cleared("failing", 4, "recovered", snoozed=True)
    )
    given(*RAISED, SNOOZED).when(set_alert_policy(alert_policy_set().policy)).then_nothing("holds already")
    for seconds in (59.0, 31 * 86_400.0):
        given(*ON).when(snooze_alert("failing", seconds)).then_refused("invalid-value", "60 s to 30 days")


def test_a_snooze_ends_once_and_says_what_goes_on() -> None:
    snoozed = (*RAISED, SNOOZED)
    given(*snoozed).when(end_alert_snooze("failing", cause="over", snoozed_sequence=5)).then(
        AlertSnoozeEnded(rule_name="failing", raised_sequence=4)
    )
    given(*snoozed).when(end_alert_snooze("failing", snoozed_sequence=4)).then_refused("conflict", "is of 5")
    given(*RAISED).when(end_alert_snooze("failing")).then_nothing("not snoozed")
    given(*RAISED).when(end_alert_snooze("fail")).then_refused("unknown-rule")
    ended = AlertSnoozeEnded(rule_name="failing", cause="operator", raised_sequence=4)
    given(*snoozed).when(end_alert_snooze("failing")).then(ended)
    given(*snoozed, ended).when(clear_alert("failing", "recovered")).then(alert_cleared("failing", 4, "recovered"))


def test_events_of_care_may_meet_any_state() -> None:
    """Older releases pass over them, so none may be void."""
    for event in (ACKNOWLEDGED, SNOOZED, AlertSnoozeEnded(rule_name="nobody")):
        assert state_after(trained("v1"), event).sequence == 2
        stored = REGISTRY_CODEC.encode(in_envelope(event))
        assert msgspec.json.decode(stored)["ignorable"] is True


def test_a_list_says_who_knows_and_until_when_it_is_quiet() -> None:
    state = state_after(*RAISED, ACKNOWLEDGED, SNOOZED)
    found = find_alerts({MODEL: Stream(state)}, MODEL)
    assert isinstance(found, ModelAlerts)
    [alert] = found.alerts
    assert alert.acknowledged is not None
    assert alert.snoozed is not None
    assert alert.snoozed.until is not None
    assert alert.acknowledged.actor == in_envelope(ACKNOWLEDGED).actor
    assert (alert.snoozed.until - alert.snoozed.at).total_seconds() == 7_200
    [snooze] = found.snoozes
    assert (snooze.rule_name, snooze.snoozed) == ("failing", alert.snoozed)


@pytest.mark.parametrize(
    ("event", "spared"),
    [
        (alert_raised(FAILING, 0.2), False),
        (alert_raised(FAILING, 0.2, snoozed=True), True),
        (alert_cleared("failing", 4, "recovered", snoozed=True), True),
        (AlertSnoozeEnded(rule_name="failing"), True),
        (AlertSnoozeEnded(rule_name="failing", raised_sequence=4), False),
        (SNOOZED, False),
        (trained("v1"), False),
    ],
)
def test_listeners_are_spared_what_is_snoozed(event: RegistryEvent, spared: bool) -> None:
    value = REGISTRY_CODEC.encode(in_envelope(event))
    assert is_snoozed(event_type(value) or "", value) == spared


def test_a_broken_event_is_not_taken_for_a_snoozed_one() -> None:
    assert not is_snoozed("hotswap.alert.raised.v1", b'{"data": 3}')
