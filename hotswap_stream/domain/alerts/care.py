"""What people say about alerts, and what it means: acknowledging, and snoozes. Pure, as all rules.

How long a snooze lasts is watched elsewhere, and comes in as a command. The events of it may meet any state: older
releases go on without them.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hotswap_events.alerts.care import (
    SNOOZE_SECONDS_MAX,
    SNOOZE_SECONDS_MIN,
    AlertAcknowledged,
    AlertSnoozed,
    AlertSnoozeEnded,
)
from hotswap_events.alerts.commands import AcknowledgeAlert, EndAlertSnooze, SnoozeAlert
from hotswap_events.commands import Refusal
from hotswap_events.envelope import Envelope
from hotswap_stream.domain.alerts.refusals import other_alert, unknown_rule
from hotswap_stream.domain.deciding.decision import Accepted, Decision, invalid
from hotswap_stream.domain.state.alerts import Acknowledgement, RaisedAlert, Snooze
from hotswap_stream.domain.state.model import ModelState


def _acknowledge(state: ModelState, command: AcknowledgeAlert) -> Decision:
    alert = state.alerts.raised.get(command.rule_name)
    if alert is None:
        if state.alerts.rule(command.rule_name) is None:
            return unknown_rule(state, command.rule_name)
        raised = tuple(state.alerts.raised)
        return Refusal(
            code="illegal-step",
            reason=f"the alert {command.rule_name!r} of {state.model_name!r} is not raised, so there is nothing to "
            f"acknowledge; raised are {', '.join(raised) or 'none'}. To hear nothing of it for a while, snooze it",
            legal=("snooze",),
        )
    if command.raised_sequence not in (None, alert.sequence):
        return other_alert(command.rule_name, command.raised_sequence, alert)
    known = state.alerts.acknowledged_of(alert)
    if known is not None and known.actor == command.actor and known.reason == command.reason:
        return Accepted((), f"{known.actor} has acknowledged the alert {command.rule_name!r} already")
    return Accepted((AlertAcknowledged(rule_name=command.rule_name, raised_sequence=alert.sequence),))


def _snooze(state: ModelState, command: SnoozeAlert) -> Decision:
    alert = state.alerts.raised.get(command.rule_name)
    if alert is None and state.alerts.rule(command.rule_name) is None:
        return unknown_rule(state, command.rule_name)
    if not SNOOZE_SECONDS_MIN <= command.seconds <= SNOOZE_SECONDS_MAX:
        return invalid(
            f"a snooze of {command.seconds:g} s; {SNOOZE_SECONDS_MIN:g} s to {SNOOZE_SECONDS_MAX / 86_400:g} days are "
            "allowed"
        )
    snoozed = AlertSnoozed(rule_name=command.rule_name, seconds=command.seconds, raised_sequence=_sequence(alert))
    return Accepted(
        (snoozed,), "the alert goes on and stays listed; webhooks are told of it again when the snooze ends"
    )


def _end_snooze(state: ModelState, command: EndAlertSnooze) -> Decision:
    name = command.rule_name
    snooze = state.alerts.snoozes.get(name)
    if snooze is None:
        if state.alerts.rule(name) is None and name not in state.alerts.raised:
            return unknown_rule(state, name)
        return Accepted((), f"the alert {name!r} is not snoozed")
    if command.snoozed_sequence not in (None, snooze.sequence):
        return Refusal(
            code="conflict",
            reason=f"asked about the snooze of {name!r} of sequence {command.snoozed_sequence}, but this one is of "
            f"{snooze.sequence}",
        )
    raised = state.alerts.raised.get(name)
    return Accepted((AlertSnoozeEnded(rule_name=name, cause=command.cause, raised_sequence=_sequence(raised)),))


def _sequence(alert: RaisedAlert | None) -> int | None:
    return None if alert is None else alert.sequence


def _acknowledged(state: ModelState, data: AlertAcknowledged, event: Envelope) -> None:
    known = Acknowledgement(data.raised_sequence, event.sequence, event.time, event.actor, event.reason)
    state.alerts = replace(state.alerts, acknowledged={**state.alerts.acknowledged, data.rule_name: known})


def _snoozed(state: ModelState, data: AlertSnoozed, event: Envelope) -> None:
    seconds = min(max(data.seconds, 0.0), SNOOZE_SECONDS_MAX)
    snooze = Snooze(event.sequence, event.time, seconds, event.actor, event.reason)
    state.alerts = replace(state.alerts, snoozes={**state.alerts.snoozes, data.rule_name: snooze})


def _snooze_ended(state: ModelState, data: AlertSnoozeEnded, _event: Envelope) -> None:
    left = {name: snooze for name, snooze in state.alerts.snoozes.items() if name != data.rule_name}
    state.alerts = replace(state.alerts, snoozes=left)


CARE_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    AcknowledgeAlert: _acknowledge,
    SnoozeAlert: _snooze,
    EndAlertSnooze: _end_snooze,
}
CARE_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    AlertAcknowledged: _acknowledged,
    AlertSnoozed: _snoozed,
    AlertSnoozeEnded: _snooze_ended,
}
