"""What may happen to a model's alerts and to their policy. Pure, as all rules."""

import math
from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from hotswap_events.alerts.commands import ClearAlert, RaiseAlert, SetAlertPolicy
from hotswap_events.alerts.events import AlertCleared, AlertPolicySet, AlertRaised
from hotswap_events.commands import Refusal
from hotswap_stream.domain.alerts.care import CARE_RULES
from hotswap_stream.domain.alerts.limits import wrong_alert_policy
from hotswap_stream.domain.alerts.refusals import other_alert, unknown_rule
from hotswap_stream.domain.deciding import limits
from hotswap_stream.domain.deciding.applicable import inapplicable
from hotswap_stream.domain.deciding.decision import Accepted, Decision, find_version, invalid
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_ALERTS
from hotswap_stream.domain.state.model import ModelState


def _set_policy(state: ModelState, command: SetAlertPolicy) -> Decision:
    policy, alerts = command.policy, state.alerts
    if wrong := wrong_alert_policy(policy):
        return invalid(wrong)
    for rule in policy.rules:
        judged_by = FEEDBACK_ALERTS.get(rule.metric)
        if judged_by is not None and (wrong := inapplicable((judged_by,), state)):
            return invalid(f"rule {rule.name!r}, made of {wrong}")
    if policy == alerts.policy:
        return Accepted((), "this alert policy holds already")
    rules = {rule.name: rule for rule in policy.rules}
    outdated = (
        AlertCleared(
            rule_name=name, raised_sequence=alert.sequence, cause="rule-changed", snoozed=name in alerts.snoozes
        )
        for name, alert in alerts.raised.items()
        if rules.get(name) != alert.rule
    )
    return Accepted((AlertPolicySet(policy=policy), *outdated))


def _raise(state: ModelState, command: RaiseAlert) -> Decision:
    rule = state.alerts.rule(command.rule_name)
    if rule is None:
        return unknown_rule(state, command.rule_name)
    if wrong := _wrong_measurement(command.value, command.figures):
        return invalid(wrong)
    if command.rule_name in state.alerts.raised:
        return Accepted((), f"the alert {rule.name!r} is raised already")
    side = "below" if rule.falling else "above"
    if (command.above, command.below) != (rule.above, rule.below):
        asked = command.above if command.below is UNSET else command.below
        measured = "nothing" if asked is UNSET else f"{'above' if command.below is UNSET else 'below'} {asked:g}"
        return Refusal(
            code="conflict",
            reason=f"measured against {measured}, but the rule {rule.name!r} of {state.model_name!r} says "
            f"{side} {rule.threshold:g}",
        )
    if not rule.beyond(command.value):
        return invalid(f"value is {command.value:g}; the alert {rule.name!r} is raised {side} {rule.threshold:g}")
    if command.model_version is not None:
        version = find_version(state, command.model_version)
        if isinstance(version, Refusal):
            return version
    return Accepted(
        (
            AlertRaised(
                rule=rule,
                value=command.value,
                count=command.count,
                figures=command.figures,
                model_version=command.model_version,
                snoozed=rule.name in state.alerts.snoozes,
            ),
        )
    )


def _clear(state: ModelState, command: ClearAlert) -> Decision:
    alert = state.alerts.raised.get(command.rule_name)
    if alert is None:
        if command.raised_sequence is None and state.alerts.rule(command.rule_name) is None:
            return unknown_rule(state, command.rule_name)
        return Accepted((), f"the alert {command.rule_name!r} is not raised")
    if wrong := _wrong_measurement(command.value, command.figures):
        return invalid(wrong)
    if command.raised_sequence not in (None, alert.sequence):
        return other_alert(command.rule_name, command.raised_sequence, alert)
    return Accepted(
        (
            AlertCleared(
                rule_name=command.rule_name,
                raised_sequence=alert.sequence,
                cause=command.cause,
                value=command.value,
                figures=command.figures,
                snoozed=command.rule_name in state.alerts.snoozes,
                keep_away_seconds=command.keep_away_seconds,
            ),
        ),
        _kept_away(command),
    )


def _kept_away(command: ClearAlert) -> str | None:
    """Return what whoever clears an alert by hand should know: it does not go away by that."""
    if command.cause != "operator":
        return None
    return (
        f"where its cause holds, it is raised again after {command.keep_away_seconds:g} s; acknowledge an alert that "
        "you care for, snooze one that nobody should be told of"
    )


def _wrong_measurement(value: float | None, figures: dict[str, float]) -> str | None:
    if value is not None and not math.isfinite(value):
        return f"value is {value}; a finite number is needed"
    return limits.wrong_figures("figures", figures)


ALERT_RULES: dict[type, Callable[[ModelState, Any], Decision]] = {
    SetAlertPolicy: _set_policy,
    RaiseAlert: _raise,
    ClearAlert: _clear,
    **CARE_RULES,
}
