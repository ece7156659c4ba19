"""When alerts are raised and cleared: figures and time in, commands out. Pure.

A rule's alert is raised when its figure was beyond the threshold, at every look, for `for_seconds`; it is cleared when
no figure was beyond for `clear_seconds` and the last one there is, is not. A window with too few requests says nothing:
it neither raises nor clears, and what was beyond before it does not count towards `for_seconds`.

An alert must not outlive what it is about. Where there is nothing to measure at all (no requests any more, only
mistakes of callers, a model switched off, an active version without a profile), its figure counts as not beyond after
the window's length, `clear_seconds` or 5 s, whichever is longest, and it is cleared as recovered. An alert whose rule
the policy in force does not have, as the default may be another one in a later release, is cleared as `rule-changed`.

An alert that was cleared by hand is kept away for a while, so that it does not come back at once where its cause holds.
A snooze ends when its time is over.

A process that is started again begins with empty windows and without a memory of how long a figure was beyond. What was
raised is in the log, so nothing is raised twice, and the time to the raising or clearing begins anew.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from hotswap_events.alerts.commands import AlertCommand, ClearAlert, EndAlertSnooze, RaiseAlert
from hotswap_events.alerts.events import AlertClearedCause, AlertRule
from hotswap_stream.application.alerts.figures import Figure, Measured
from hotswap_stream.domain.reserved import ALERTS_ACTOR
from hotswap_stream.domain.state.alerts import AlertsState, RaisedAlert, Snooze

SILENCE_SECONDS_MIN = 5.0
"""Workers send an observation a second, now and then later."""


class RuleWatch(Struct, frozen=True, kw_only=True):
    """What is remembered of one rule between two looks, in seconds since 1970. None: not so at the last look."""

    rule: AlertRule
    beyond_since: float | None = None
    not_beyond_since: float | None = None
    """Stays over looks that say nothing."""
    nothing_since: float | None = None


def watched(
    rule: AlertRule, watch: RuleWatch | None, figure: Figure, now_s: float, *, raised: bool = False
) -> RuleWatch:
    """Return the memory of a rule with one look more; that of a rule that has changed begins anew.

    While its alert is `raised`, or kept away after a clearing by hand, being beyond counts for no next one.
    """
    known = watch if watch is not None and watch.rule == rule else RuleWatch(rule=rule)
    if isinstance(figure, Measured):
        if rule.beyond(figure.value):
            return RuleWatch(rule=rule, beyond_since=None if raised else _or(known.beyond_since, now_s))
        return RuleWatch(rule=rule, not_beyond_since=_or(known.not_beyond_since, now_s))
    nothing_since = _or(known.nothing_since, now_s) if figure == "nothing" else None
    return RuleWatch(rule=rule, not_beyond_since=known.not_beyond_since, nothing_since=nothing_since)


def judge(
    model_name: str,
    alerts: AlertsState,
    active_version: str | None,
    figures: Mapping[str, Figure],
    watches: Mapping[str, RuleWatch],
    now_s: float,
) -> Iterator[AlertCommand]:
    """Return what has to be said now. `figures` and `watches`, which are those with this look, by rule name.

    Two processes that find the same make one event: an alert that is raised is not raised again, and a clearing names
    the raising that it is about.
    """
    for rule in alerts.effective_policy.rules:
        watch, figure = watches.get(rule.name), figures.get(rule.name)
        if watch is None or figure is None:
            continue
        alert = alerts.raised.get(rule.name)
        if alert is None:
            if kept_away(alerts, rule.name, now_s):
                continue
            if isinstance(figure, Measured) and _passed(watch.beyond_since, rule.for_seconds, now_s):
                yield _raise(model_name, alerts, rule, figure, active_version)
        elif isinstance(figure, Measured):
            if _passed(watch.not_beyond_since, rule.clear_seconds, now_s):
                yield _clear(model_name, alert, "recovered", figure)
        elif _passed(watch.nothing_since, max(rule.window_seconds, rule.clear_seconds, SILENCE_SECONDS_MIN), now_s):
            yield _clear(model_name, alert, "recovered", None)
    names = {rule.name for rule in alerts.effective_policy.rules}
    for alert in alerts.raised.values():
        if alert.rule.name not in names:
            yield _clear(model_name, alert, "rule-changed", None)
    for name, snooze in alerts.snoozes.items():
        if name not in names or snooze.at.timestamp() + snooze.seconds <= now_s:
            yield _end_snooze(model_name, name, snooze, "over" if name in names else "rule-gone")


def kept_away(alerts: AlertsState, rule_name: str, now_s: float) -> bool:
    """Return whether the rule's alert was cleared by hand so lately that it is not raised again."""
    until = alerts.kept_away.get(rule_name)
    return until is not None and now_s < until


def _end_snooze(model_name: str, rule_name: str, snooze: Snooze, cause: Literal["over", "rule-gone"]) -> EndAlertSnooze:
    return EndAlertSnooze(
        command_id=f"alert/{rule_name}/snooze-end/{snooze.sequence}",
        actor=ALERTS_ACTOR,
        model_name=model_name,
        reason=f"{snooze.actor} snoozed it for {snooze.seconds:g} s"
        if cause == "over"
        else "the alert policy no longer has the rule",
        rule_name=rule_name,
        cause=cause,
        snoozed_sequence=snooze.sequence,
    )


def _raise(
    model_name: str, alerts: AlertsState, rule: AlertRule, figure: Measured, active_version: str | None
) -> RaiseAlert:
    return RaiseAlert(
        command_id=f"alert/{rule.name}/raise/{alerts.raised_total}",
        actor=ALERTS_ACTOR,
        model_name=model_name,
        reason=f"{rule.metric} is {figure.value:.4g}, {_side(rule)} {rule.threshold:g}"
        + (f" for {rule.for_seconds:g} s" if rule.for_seconds else ""),
        rule_name=rule.name,
        value=figure.value,
        above=rule.above,
        below=rule.below,
        count=figure.count,
        figures=figure.figures,
        model_version=active_version,
    )


def _clear(model_name: str, alert: RaisedAlert, cause: AlertClearedCause, figure: Measured | None) -> ClearAlert:
    rule = alert.rule
    reason = "the alert policy no longer has the rule"
    if cause == "recovered":
        reason = (
            "there is nothing to measure any more"
            if figure is None
            else f"{rule.metric} is {figure.value:.4g}, and was not {_side(rule)} {rule.threshold:g} for "
            f"{rule.clear_seconds:g} s"
        )
    return ClearAlert(
        command_id=f"alert/{rule.name}/clear/{alert.sequence}",
        actor=ALERTS_ACTOR,
        model_name=model_name,
        reason=reason,
        rule_name=rule.name,
        cause=cause,
        value=None if figure is None else figure.value,
        figures={} if figure is None else figure.figures,
        raised_sequence=alert.sequence,
    )


def _side(rule: AlertRule) -> str:
    return "below" if rule.falling else "above"


def _passed(since: float | None, seconds: float, now_s: float) -> bool:
    return since is not None and now_s - since >= seconds


def _or(since: float | None, now_s: float) -> float:
    return now_s if since is None else since
