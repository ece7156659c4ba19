"""Limits on an alert policy. A message says which rule is wrong, how, and what would be right."""

import math
import re

from msgspec import UNSET

from hotswap_events.alerts.events import ALERT_RULES_MAX, AlertMetric, AlertPolicy, AlertRule
from hotswap_events.rollouts.strategy import ERROR_MAX

SECONDS_MAX = 86_400.0
LATENCY_MS_MAX = 600_000.0
LAG_MAX = 1e12
WORKERS_MAX = 100_000.0
RATE_MAX = 1e9
SERIES_MAX = 1e9
ANSWERS_MAX = 10_000_000

_RULE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")

_THRESHOLDS: dict[AlertMetric, tuple[float, str]] = {
    "latency-ms": (LATENCY_MS_MAX, "milliseconds, from 0 to 600,000"),
    "error-rate": (1.0, "a share from 0 to 1"),
    "wrong-rate": (1.0, "a share from 0 to 1"),
    "absolute-error": (ERROR_MAX, "an error, from 0 to 1e30"),
    "squared-error": (ERROR_MAX, "an error, from 0 to 1e30"),
    "percentage-error": (ERROR_MAX, "a part of the true number, from 0 to 1e30; 0.05 is 5 %"),
    "miss-rate": (1.0, "a share from 0 to 1"),
    "input-drift": (1.0, "a distance from 0 to 1"),
    "score-drift": (1.0, "a distance from 0 to 1"),
    "lag": (LAG_MAX, "requests, from 0 to 1,000,000,000,000"),
    "standstill": (SECONDS_MAX, "seconds, from 0 to 86,400"),
    "silent-workers": (WORKERS_MAX, "workers, from 0 to 100,000"),
    "waiting-run": (SECONDS_MAX, "seconds, from 0 to 86,400"),
    "accuracy": (1.0, "a share from 0 to 1"),
    "hit-rate": (1.0, "a share from 0 to 1"),
    "agreement": (1.0, "a share from 0 to 1"),
    "answers-per-second": (RATE_MAX, "answers a second, from 0 to 1,000,000,000"),
    "split-series": (SERIES_MAX, "series, from 0 to 1,000,000,000"),
}

_RANGES: tuple[tuple[str, float, float, str], ...] = (
    ("window_seconds", 1.0, SECONDS_MAX, "seconds, from 1 to 86,400"),
    ("answers_min", 1, ANSWERS_MAX, "requests, from 1 to 10,000,000"),
    ("for_seconds", 0.0, SECONDS_MAX, "seconds, from 0 to 86,400"),
    # A figure that crosses its threshold back and forth must not write to the log each time.
    ("clear_seconds", 1.0, SECONDS_MAX, "seconds, from 1 to 86,400"),
)


def wrong_alert_policy(policy: AlertPolicy) -> str | None:
    """Return why the policy cannot hold, or None."""
    if len(policy.rules) > ALERT_RULES_MAX:
        return f"the policy has {len(policy.rules)} rules; at most {ALERT_RULES_MAX} are allowed"
    seen: set[str] = set()
    for rule in policy.rules:
        if wrong := _wrong_rule(rule):
            return wrong
        if rule.name in seen:
            return f"two rules are named {rule.name!r}; give each a name of its own"
        seen.add(rule.name)
    return None


def _wrong_rule(rule: AlertRule) -> str | None:
    if not _RULE_NAME.fullmatch(rule.name):
        return (
            f"rule name {rule.name[:100]!r} is not valid: lower-case letters, digits and '-', starting with a letter "
            "or digit, at most 63 characters"
        )
    if (rule.above is UNSET) == (rule.below is UNSET):
        return f"rule {rule.name!r} needs either above or below, and has {'neither' if rule.above is UNSET else 'both'}"
    highest, right = _THRESHOLDS[rule.metric]
    if not 0.0 <= rule.threshold <= highest:
        side = "below" if rule.falling else "above"
        return f"{side} of rule {rule.name!r} is {rule.threshold}; {rule.metric} needs {right}"
    if rule.falling and rule.threshold == 0.0:
        return f"below of rule {rule.name!r} is 0, and no figure falls below it"
    if not 0.0 < rule.quantile < 1.0:
        return f"quantile of rule {rule.name!r} is {rule.quantile}; more than 0 and less than 1, as 0.95"
    for name, low, high, right in _RANGES:
        value = getattr(rule, name)
        if not (math.isfinite(value) and low <= value <= high):
            return f"{name} of rule {rule.name!r} is {value}; {right}"
    return None
