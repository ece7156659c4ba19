"""Sample commands and events of alerts and their policy, on the sample model."""

from typing import Any

from hotswap_events.alerts.care import AlertAcknowledged, AlertSnoozed, AlertSnoozeEnded
from hotswap_events.alerts.commands import (
    AcknowledgeAlert,
    ClearAlert,
    EndAlertSnooze,
    RaiseAlert,
    SetAlertPolicy,
    SnoozeAlert,
)
from hotswap_events.alerts.events import (
    AlertCleared,
    AlertClearedCause,
    AlertPolicy,
    AlertPolicySet,
    AlertRaised,
    AlertRule,
)
from tests.support.samples.registry import MODEL, CountingIds

_command_ids = CountingIds("alert-command")

SLOW = AlertRule(
    name="slow",
    metric="latency-ms",
    above=50.0,
    quantile=0.99,
    window_seconds=120.0,
    answers_min=200,
    for_seconds=10.0,
    clear_seconds=30.0,
)
FAILING = AlertRule(name="failing", metric="error-rate", above=0.01, severity="critical")
DRIFTED = AlertRule(name="drifted", metric="input-drift", above=0.2, window_seconds=600.0)
WAITING = AlertRule(name="waiting", metric="lag", above=1_500.0, for_seconds=60.0)
WORSE = AlertRule(name="worse", metric="accuracy", below=0.9, window_seconds=3_600.0)
QUIET = AlertRule(name="quiet", metric="answers-per-second", below=1.0, severity="critical")
WATCHED = AlertPolicy(rules=(SLOW, FAILING))
NOTHING = AlertPolicy(rules=())
FIGURES = {"errors": 13.0, "model-failure": 12.0, "deadline-expired": 1.0}


def _attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    given = {"actor": "alice", "model_name": MODEL, **attributes}
    if "command_id" not in given:
        given["command_id"] = _command_ids.new_id()
    return given


def set_alert_policy(policy: AlertPolicy = WATCHED, **attributes: Any) -> SetAlertPolicy:
    return SetAlertPolicy(policy=policy, **_attributes(attributes))


def raise_alert(rule: AlertRule, value: float, **attributes: Any) -> RaiseAlert:
    given = {"rule_name": rule.name, "above": rule.above, "below": rule.below, **attributes}
    return RaiseAlert(value=value, **_attributes(given))


def clear_alert(rule_name: str, cause: AlertClearedCause = "operator", **attributes: Any) -> ClearAlert:
    return ClearAlert(rule_name=rule_name, cause=cause, **_attributes(attributes))


def acknowledge_alert(rule_name: str, **attributes: Any) -> AcknowledgeAlert:
    return AcknowledgeAlert(rule_name=rule_name, **_attributes(attributes))


def snooze_alert(rule_name: str, seconds: float = 7_200.0, **attributes: Any) -> SnoozeAlert:
    return SnoozeAlert(rule_name=rule_name, seconds=seconds, **_attributes(attributes))


def end_alert_snooze(rule_name: str, **attributes: Any) -> EndAlertSnooze:
    return EndAlertSnooze(rule_name=rule_name, **_attributes(attributes))


def alert_policy_set(policy: AlertPolicy = WATCHED) -> AlertPolicySet:
    return AlertPolicySet(policy=policy)


def alert_raised(rule: AlertRule, value: float, **fields: Any) -> AlertRaised:
    return AlertRaised(rule=rule, value=value, **fields)


def alert_cleared(rule_name: str, raised_sequence: int, cause: AlertClearedCause, **fields: Any) -> AlertCleared:
    return AlertCleared(rule_name=rule_name, raised_sequence=raised_sequence, cause=cause, **fields)


DESCRIBED: list[tuple[Any, str]] = [
    (
        alert_policy_set(AlertPolicy(rules=(SLOW, FAILING, WAITING))),
        "set the alert policy of digits: slow (warning): latency-ms p99 above 50 ms for 10 s; failing (critical): "
        "error-rate above 1 %; waiting (warning): lag above 1,500 requests for 60 s",
    ),
    (alert_policy_set(NOTHING), "set the alert policy of digits: nothing is watched"),
    (
        alert_raised(FAILING, 0.065, count=1_200, figures=FIGURES, model_version="v2"),
        "raised the critical alert failing of digits: error-rate 6.5 % is above 1 % (1,200 requests in 60 s, v2 "
        "active)",
    ),
    (
        alert_raised(SLOW, 1_234.56),
        "raised the warning alert slow of digits: latency-ms p99 1,235 ms is above 50 ms",
    ),
    (
        alert_raised(DRIFTED, 0.31234, count=4_000),
        "raised the warning alert drifted of digits: input-drift 0.3123 is above 0.2 (4,000 values in 600 s)",
    ),
    (
        alert_raised(WAITING, 12_345.0, count=8, model_version="v2"),
        "raised the warning alert waiting of digits: lag 12,345 requests is above 1,500 requests (v2 active)",
    ),
    (
        alert_cleared("failing", 7, "recovered", value=0.0021, figures={"errors": 1.0}),
        "cleared the alert failing of digits (recovered, value 0.0021)",
    ),
    (alert_cleared("failing", 7, "operator"), "cleared the alert failing of digits (by hand)"),
    (alert_cleared("failing", 7, "rule-changed"), "cleared the alert failing of digits (its rule changed)"),
    (AlertAcknowledged(rule_name="failing", raised_sequence=7), "acknowledged the alert failing of digits"),
    (AlertSnoozed(rule_name="failing", seconds=7_200.0), "snoozed the alert failing of digits for 2 h"),
    (AlertSnoozeEnded(rule_name="failing"), "ended the snooze of the alert failing of digits"),
    (
        AlertSnoozeEnded(rule_name="failing", cause="operator", raised_sequence=7),
        "ended the snooze of the alert failing of digits (by hand): it is raised still",
    ),
]
"""Each kind of event at least once, and what it is in a few words."""
