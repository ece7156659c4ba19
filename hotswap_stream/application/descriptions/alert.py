"""Alerts, their rules and their events in a few words for people."""

from collections.abc import Callable
from typing import Any

from hotswap_events.alerts.care import AlertAcknowledged, AlertSnoozed, AlertSnoozeEnded
from hotswap_events.alerts.events import AlertCleared, AlertPolicy, AlertPolicySet, AlertRaised, AlertRule
from hotswap_stream.domain.deciding.live_metrics import FEEDBACK_ALERTS

_CLEARED_BECAUSE = {"recovered": "recovered", "rule-changed": "its rule changed", "operator": "by hand"}
_MADE_OF = {
    "latency-ms": "requests",
    "error-rate": "requests",
    **dict.fromkeys(FEEDBACK_ALERTS, "answers"),
    "input-drift": "values",
    "score-drift": "values",
    "agreement": "answers",
    "answers-per-second": "answers",
}


def describe_figure(rule: AlertRule, value: float) -> str:
    """Return a figure of the rule with its unit: `6.5 %`, `64 ms`, `12,345 requests`, `0.21`."""
    match rule.metric:
        case "error-rate" | "wrong-rate" | "miss-rate" | "percentage-error" | "accuracy" | "hit-rate" | "agreement":
            return f"{_number(100 * value)} %"
        case "latency-ms":
            return f"{_number(value)} ms"
        case "answers-per-second":
            return f"{_number(value)} answers/s"
        case "lag":
            return f"{_number(value)} requests"
        case "standstill" | "waiting-run":
            return f"{_number(value)} s"
        case "silent-workers":
            return f"{_number(value)} {'worker' if value == 1 else 'workers'}"
        case "split-series":
            return f"{_number(value)} series"
        case _:
            return _number(value)


def describe_metric(rule: AlertRule) -> str:
    """Return what the rule looks at: `error-rate`, `latency-ms p99`."""
    return f"{rule.metric} p{100 * rule.quantile:.6g}" if rule.metric == "latency-ms" else rule.metric


def describe_crossing(rule: AlertRule, value: float) -> str:
    """Return `error-rate 6.5 % is above 5 %`."""
    return f"{describe_metric(rule)} {describe_figure(rule, value)} is {describe_threshold(rule)}"


def describe_threshold(rule: AlertRule) -> str:
    """Return `above 5 %`, or `below 90 %`."""
    return f"{'below' if rule.falling else 'above'} {describe_figure(rule, rule.threshold)}"


def describe_rule(rule: AlertRule) -> str:
    """Return `lag above 10,000 requests for 30 s`."""
    lasting = f" for {_number(rule.for_seconds)} s" if rule.for_seconds else ""
    return f"{describe_metric(rule)} {describe_threshold(rule)}{lasting}"


def describe_alert_policy(policy: AlertPolicy) -> str:
    """Return all rules by name, or that nothing is watched."""
    rules = "; ".join(f"{rule.name} ({rule.severity}): {describe_rule(rule)}" for rule in policy.rules)
    return rules or "nothing is watched"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _policy_set(data: AlertPolicySet, model: str) -> str:
    return f"set the alert policy of {model}: {describe_alert_policy(data.policy)}"


def _raised(data: AlertRaised, model: str) -> str:
    rule, facts = data.rule, []
    if data.count and rule.metric == "split-series":
        facts.append(f"of {data.count:,} looked at")
    if data.count and rule.metric in _MADE_OF:
        facts.append(f"{data.count:,} {_MADE_OF[rule.metric]} in {_number(rule.window_seconds)} s")
    if data.model_version is not None:
        facts.append(f"{data.model_version} active")
    more = f" ({', '.join(facts)})" if facts else ""
    crossing = describe_crossing(rule, data.value)
    snoozed = ", snoozed" if data.snoozed else ""
    return f"raised the {rule.severity} alert {rule.name} of {model}: {crossing}{more}{snoozed}"


def _cleared(data: AlertCleared, model: str) -> str:
    value = "" if data.value is None else f", value {_number(data.value)}"
    snoozed = ", snoozed" if data.snoozed else ""
    return f"cleared the alert {data.rule_name} of {model} ({_CLEARED_BECAUSE[data.cause]}{value}{snoozed})"


def _acknowledged(data: AlertAcknowledged, model: str) -> str:
    return f"acknowledged the alert {data.rule_name} of {model}"


def _snoozed(data: AlertSnoozed, model: str) -> str:
    return f"snoozed the alert {data.rule_name} of {model} for {describe_seconds(data.seconds)}"


def _snooze_ended(data: AlertSnoozeEnded, model: str) -> str:
    because = {"over": "", "rule-gone": " (its rule is gone)", "operator": " (by hand)"}[data.cause]
    still = "" if data.raised_sequence is None else ": it is raised still"
    return f"ended the snooze of the alert {data.rule_name} of {model}{because}{still}"


def describe_seconds(seconds: float) -> str:
    """Return a length of time in the largest unit that fits: `2 h`, `90 min`, `45 s`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


ALERT_DESCRIPTIONS: dict[type, Callable[[Any, str], str]] = {
    AlertPolicySet: _policy_set,
    AlertRaised: _raised,
    AlertCleared: _cleared,
    AlertAcknowledged: _acknowledged,
    AlertSnoozed: _snoozed,
    AlertSnoozeEnded: _snooze_ended,
}
