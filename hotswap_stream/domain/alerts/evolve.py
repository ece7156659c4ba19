"""What the events of alerts and of their policy mean."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from hotswap_events.alerts.commands import KEEP_AWAY_SECONDS_MAX
from hotswap_events.alerts.events import AlertCleared, AlertPolicySet, AlertRaised
from hotswap_events.envelope import Envelope
from hotswap_stream.domain.alerts.care import CARE_HANDLERS
from hotswap_stream.domain.deciding.contradiction import IllegalEventError
from hotswap_stream.domain.state.alerts import ALERTS_ENDED_KEPT_MAX, AlertsState, EndedAlert, RaisedAlert
from hotswap_stream.domain.state.model import ModelState


def _policy_set(state: ModelState, data: AlertPolicySet, _event: Envelope) -> None:
    state.alerts = replace(state.alerts, policy=data.policy)


def _raised(state: ModelState, data: AlertRaised, event: Envelope) -> None:
    # The event carries its rule, so it reads alike whatever the default policy of a release is.
    alerts, name = state.alerts, data.rule.name
    if name in alerts.raised:
        raise IllegalEventError(f"the alert {name!r} of {state.model_name!r} is raised already")
    alert = RaisedAlert(data.rule, event.sequence, event.time, data.value, data.count, data.figures, data.model_version)
    state.alerts = replace(
        alerts,
        raised={**alerts.raised, name: alert},
        raised_total=alerts.raised_total + 1,
        kept_away={other: until for other, until in alerts.kept_away.items() if other != name},
    )


def _cleared(state: ModelState, data: AlertCleared, event: Envelope) -> None:
    alerts, name = state.alerts, data.rule_name
    alert = alerts.raised.get(name)
    if alert is None:
        raise IllegalEventError(f"the alert {name!r} of {state.model_name!r} is not raised")
    if data.raised_sequence != alert.sequence:
        raise IllegalEventError(f"the alert {name!r} was raised at {alert.sequence}, not at {data.raised_sequence}")
    ended = EndedAlert(alert, event.sequence, event.time, data.cause, data.value, data.figures)
    state.alerts = replace(
        alerts,
        raised={other: kept for other, kept in alerts.raised.items() if other != name},
        ended=(*alerts.ended, ended)[-ALERTS_ENDED_KEPT_MAX:],
        acknowledged={other: known for other, known in alerts.acknowledged.items() if other != name},
        kept_away=_kept_away(alerts, data, event),
    )


def _kept_away(alerts: AlertsState, data: AlertCleared, event: Envelope) -> Mapping[str, float]:
    if data.cause != "operator" or data.keep_away_seconds <= 0:
        return alerts.kept_away
    until = event.time.timestamp() + min(data.keep_away_seconds, KEEP_AWAY_SECONDS_MAX)
    return {**alerts.kept_away, data.rule_name: until}


ALERT_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    AlertPolicySet: _policy_set,
    AlertRaised: _raised,
    AlertCleared: _cleared,
    **CARE_HANDLERS,
}
