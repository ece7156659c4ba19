"""What people and dashboards ask about alerts: which are raised, which ended lately, and by which policy."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct, structs

from hotswap_events.alerts.events import AlertClearedCause, AlertPolicy, AlertRule, AlertSeverity
from hotswap_events.commands import Refusal
from hotswap_stream.application.descriptions.alert import describe_crossing
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.domain.state.alerts import Acknowledgement, AlertsState, EndedAlert, RaisedAlert, Snooze
from hotswap_stream.domain.state.model import ModelState


class CareView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody said about an alert."""

    actor: str
    reason: str | None = None
    at: datetime
    sequence: int
    until: datetime | None = None
    """End of a snooze."""


class SnoozeView(Struct, frozen=True, kw_only=True):
    """A rule of which nobody wants to hear for a while."""

    model_name: str
    rule_name: str
    snoozed: CareView


class AlertView(Struct, frozen=True, kw_only=True):
    """One alert of one model."""

    model_name: str
    status: Literal["raised", "ended"]
    summary: str
    """In a few words, such as `error-rate 6.5 % is above 5 %`."""
    rule: AlertRule
    """As it was when the alert was raised."""
    raised_sequence: int
    """Stream position of the event that raised it: its name among all alerts of the model."""
    raised_at: datetime
    value: float
    """What the figure was then."""
    count: int
    """Requests, values or, for `lag`, partitions that the figure was made of."""
    figures: dict[str, float]
    model_version: str | None
    """The active version at that time."""
    acknowledged: CareView | None = None
    """Who knows of it; null where nobody said so."""
    snoozed: CareView | None = None
    """Who wanted to hear nothing of the rule, and until when; null where nobody did."""
    ended_sequence: int | None = None
    ended_at: datetime | None = None
    ended_because: AlertClearedCause | None = None
    ended_value: float | None = None
    """What the figure was when the alert ended."""
    ended_figures: dict[str, float] | None = None


class AlertList(Struct, frozen=True, kw_only=True):
    """Alerts of all models: the raised ones, newest first, and behind them those that ended, the last to end first."""

    alerts: tuple[AlertView, ...]
    raised: int
    """All that are raised and of the severity asked for, listed or not."""
    snoozes: tuple[SnoozeView, ...] = ()
    """Rules that are snoozed, raised or not."""


class ModelAlerts(Struct, frozen=True, kw_only=True):
    """Alerts of one model as of its last event, in the same order."""

    model_name: str
    sequence: int
    alerts: tuple[AlertView, ...]
    raised_total: int
    """All that were ever raised."""
    snoozes: tuple[SnoozeView, ...] = ()
    """Rules that are snoozed, raised or not."""


class AlertPolicyReport(Struct, frozen=True, kw_only=True):
    """What one model is watched by."""

    model_name: str
    sequence: int
    policy: AlertPolicy
    is_default: bool
    """Nobody set one for this model."""


def list_alerts(
    streams: Streams, *, severity: AlertSeverity | None = None, ended: bool = False, limit: int | None = None
) -> AlertList:
    """Return alerts of all models, at most `limit`; with `ended`, also the last 20 of each model that are over."""
    views = [view for stream in streams.values() for view in _views(stream.state, severity, ended=ended)]
    raised = sum(view.status == "raised" for view in views)
    snoozes = tuple(found for stream in streams.values() for found in _snoozes(stream.state))
    return AlertList(alerts=_in_order(views)[:limit], raised=raised, snoozes=snoozes[:limit])


def find_alerts(
    streams: Streams, model_name: str, *, severity: AlertSeverity | None = None, ended: bool = False
) -> ModelAlerts | Refusal:
    """Return alerts of one model; with `ended`, also the last 20 that are over."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    return ModelAlerts(
        model_name=model_name,
        sequence=stream.state.sequence,
        alerts=_in_order(list(_views(stream.state, severity, ended=ended))),
        raised_total=stream.state.alerts.raised_total,
        snoozes=tuple(_snoozes(stream.state)),
    )


def raised_alerts(state: ModelState) -> tuple[AlertView, ...]:
    """Return the alerts of one model that are raised, newest first."""
    return _in_order(list(_views(state, None, ended=False))) if state.alerts.raised else ()


def find_alert_policy(streams: Streams, model_name: str) -> AlertPolicyReport | Refusal:
    """Return the alert policy that holds for a model."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    alerts = stream.state.alerts
    return AlertPolicyReport(
        model_name=model_name,
        sequence=stream.state.sequence,
        policy=alerts.effective_policy,
        is_default=alerts.policy is None,
    )


def _views(state: ModelState, severity: AlertSeverity | None, *, ended: bool) -> Iterator[AlertView]:
    for raised in state.alerts.raised.values():
        if severity in (None, raised.rule.severity):
            yield _with_care(_view(state.model_name, raised, None), state.alerts, raised)
    for over in state.alerts.ended if ended else ():
        if severity in (None, over.alert.rule.severity):
            yield _view(state.model_name, over.alert, over)


def _snoozes(state: ModelState) -> Iterator[SnoozeView]:
    for name, snooze in state.alerts.snoozes.items():
        yield SnoozeView(model_name=state.model_name, rule_name=name, snoozed=_care(snooze))


def _with_care(view: AlertView, alerts: AlertsState, raised: RaisedAlert) -> AlertView:
    known, snooze = alerts.acknowledged_of(raised), alerts.snoozes.get(raised.rule.name)
    return structs.replace(
        view,
        acknowledged=None if known is None else _care(known),
        snoozed=None if snooze is None else _care(snooze),
    )


def _care(said: Acknowledgement | Snooze) -> CareView:
    return CareView(
        actor=said.actor,
        reason=said.reason,
        at=said.at,
        sequence=said.sequence,
        until=said.at + timedelta(seconds=said.seconds) if isinstance(said, Snooze) else None,
    )


def _view(model_name: str, alert: RaisedAlert, over: EndedAlert | None) -> AlertView:
    return AlertView(
        model_name=model_name,
        status="raised" if over is None else "ended",
        summary=describe_crossing(alert.rule, alert.value),
        rule=alert.rule,
        raised_sequence=alert.sequence,
        raised_at=alert.at,
        value=alert.value,
        count=alert.count,
        figures=alert.figures,
        model_version=alert.model_version,
        ended_sequence=None if over is None else over.sequence,
        ended_at=None if over is None else over.at,
        ended_because=None if over is None else over.cause,
        ended_value=None if over is None else over.value,
        ended_figures=None if over is None else over.figures,
    )


def _in_order(views: list[AlertView]) -> tuple[AlertView, ...]:
    return tuple(sorted(views, key=_place, reverse=True))


def _place(view: AlertView) -> tuple[bool, datetime, int]:
    if view.ended_at is None or view.ended_sequence is None:
        return True, view.raised_at, view.raised_sequence
    return False, view.ended_at, view.ended_sequence
