"""Alerts of one model and the policy they come from, as its events left them."""

from collections.abc import Mapping

from msgspec import Struct

from hotswap_events.alerts.events import AlertClearedCause, AlertPolicy, AlertRule
from hotswap_events.envelope import Timestamp

ALERTS_ENDED_KEPT_MAX = 20

DEFAULT_ALERT_POLICY = AlertPolicy(
    rules=(
        AlertRule(name="error-rate", metric="error-rate", above=0.05, severity="critical"),
        AlertRule(name="lag", metric="lag", above=10_000.0, for_seconds=30.0),
        AlertRule(name="input-drift", metric="input-drift", above=0.15, window_seconds=600.0, answers_min=1_000),
        AlertRule(name="standstill", metric="standstill", above=60.0, clear_seconds=10.0, severity="critical"),
        AlertRule(name="silent-worker", metric="silent-workers", above=0.0, clear_seconds=5.0),
        AlertRule(name="waiting-run", metric="waiting-run", above=600.0, clear_seconds=5.0),
        AlertRule(name="split-series", metric="split-series", above=0.0, clear_seconds=5.0),
    )
)
"""Holds for a model that was given none. Latency is not in it: what is slow is the model's own. Drift says nothing
about versions without a profile, and split series nothing about models that take no windows."""


class RaisedAlert(Struct, frozen=True, gc=False):
    """An alert that goes on."""

    rule: AlertRule
    """As it was when the alert was raised."""
    sequence: int
    """Sequence of the event that raised it: its name among all alerts of the model."""
    at: Timestamp
    """When it was raised, by the writer's clock."""
    value: float
    count: int
    figures: dict[str, float]
    model_version: str | None
    """The active version at that time."""


class EndedAlert(Struct, frozen=True, gc=False):
    """An alert that is over."""

    alert: RaisedAlert
    sequence: int
    """Sequence of the event that cleared it."""
    at: Timestamp
    cause: AlertClearedCause
    value: float | None
    figures: dict[str, float]


class Acknowledgement(Struct, frozen=True, gc=False):
    """Who knows of an alert, since when, and what they said."""

    raised_sequence: int
    """Sequence of the alert that is meant."""
    sequence: int
    at: Timestamp
    actor: str
    reason: str | None


class Snooze(Struct, frozen=True, gc=False):
    """How long nobody wants to hear of a rule, and who said so."""

    sequence: int
    at: Timestamp
    seconds: float
    actor: str
    reason: str | None


class AlertsState(Struct, frozen=True):
    """Replaced as a whole when an event changes it, so that states may share it."""

    policy: AlertPolicy | None = None
    """None: `DEFAULT_ALERT_POLICY` holds."""
    raised: Mapping[str, RaisedAlert] = {}
    """By the rule's name: a rule has one alert at most. In the order they were raised."""
    raised_total: int = 0
    """All that were ever raised."""
    ended: tuple[EndedAlert, ...] = ()
    """Oldest first; the last 20."""
    acknowledged: Mapping[str, Acknowledgement] = {}
    """By the rule's name; of an alert that is over it counts no more."""
    snoozes: Mapping[str, Snooze] = {}
    """By the rule's name."""
    kept_away: Mapping[str, float] = {}
    """Rule's name → until when, in seconds since 1970, its alert, which was cleared by hand, is not raised again."""

    @property
    def effective_policy(self) -> AlertPolicy:
        """The policy that holds."""
        return self.policy or DEFAULT_ALERT_POLICY

    def acknowledged_of(self, alert: RaisedAlert) -> Acknowledgement | None:
        """Return who knows of this alert."""
        known = self.acknowledged.get(alert.rule.name)
        return known if known is not None and known.raised_sequence == alert.sequence else None

    def rule(self, name: str) -> AlertRule | None:
        """Return the rule in force that has this name."""
        return next((rule for rule in self.effective_policy.rules if rule.name == name), None)


NO_ALERTS = AlertsState()
"""The state of a model that saw none of this."""
