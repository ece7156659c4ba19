"""Alerts of a model: the thresholds it is watched by, and their crossing, as events in the model's stream.

An alert is raised when a rule's figure was beyond its threshold for a while, and cleared when it was not for a while.
The same rule as for all events holds here: a class, once released, is never changed in a way that alters how stored
bytes read.
"""

from math import inf
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

AlertMetric = Literal[
    "latency-ms",
    "error-rate",
    "wrong-rate",
    "absolute-error",
    "squared-error",
    "percentage-error",
    "miss-rate",
    "input-drift",
    "score-drift",
    "lag",
    "standstill",
    "silent-workers",
    "waiting-run",
    "accuracy",
    "hit-rate",
    "agreement",
    "answers-per-second",
    "split-series",
]
AlertSeverity = Literal["warning", "critical"]
AlertClearedCause = Literal["recovered", "rule-changed", "operator"]

ALERT_RULES_MAX = 16
KEEP_AWAY_SECONDS = 300.0

RuleName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]


class AlertRule(Struct, frozen=True, kw_only=True, gc=False):
    """One threshold. Every field is written to the log."""

    name: RuleName
    """Unique in the policy."""
    metric: AlertMetric
    """`latency-ms`: a quantile of what callers wait, from the request's record timestamp to the end of its forward
    pass. `error-rate`: share of requests that the server failed to answer; a caller's mistakes do not count.
    `wrong-rate`, `miss-rate`, errors: made of feedback as it comes, whenever the answer was given; the share of
    answers with another label than the true one, or with nothing that was chosen among their best 10, and means of
    errors.
    `input-drift`, `score-drift`: largest distance of the distribution functions (Kolmogorov–Smirnov, 0 to 1) of live
    inputs or scores and those in the active version's profile, less what chance and the sketches explain. `lag`:
    requests that wait in the model's request topic. `standstill`: for how many seconds a partition in which requests
    wait has not moved; of a partition among others that move, those beyond nine minutes.
    `silent-workers`: workers of the model that were not heard of for ten seconds, at most an hour, and did not say that
    they stop. `waiting-run`: for how many seconds the oldest training run that was asked for waits for a runner that
    takes it. `accuracy`, `hit-rate`: what `wrong-rate` and `miss-rate` leave of 1. `agreement`: share of the answers of
    which a shadow gave the same. `answers-per-second`: requests answered well; 0 where nobody asks.
    `split-series`: series of a model that takes windows whose newest steps lie in several partitions, so that no window
    of theirs fills; as far as the newest records show it."""
    above: float | UnsetType = UNSET
    """The alert is raised when the figure is above it. A rule has either this or `below`."""
    below: float | UnsetType = UNSET
    """The alert is raised when the figure is below it."""
    quantile: float = 0.95
    """Of the latency."""
    window_seconds: float = 60.0
    """What lies further back does not count. `lag`, `standstill`, `silent-workers`, `waiting-run` and
    `split-series` are looked at as they are."""
    answers_min: int = 50
    """Fewer requests in the window say nothing, or fewer answers about which something came back; `lag`, `standstill`,
    `silent-workers`, `waiting-run` and `split-series` need none."""
    for_seconds: float = 0.0
    """How long the figure must have been beyond the threshold before the alert is raised."""
    clear_seconds: float = 60.0
    """How long it must not have been beyond before the alert is cleared."""
    severity: AlertSeverity = "warning"

    @property
    def falling(self) -> bool:
        """Return whether the alert is raised when the figure falls."""
        return self.below is not UNSET

    @property
    def threshold(self) -> float:
        """Return what the figure is held against; a rule that somebody wrote without one is never beyond it."""
        if self.below is not UNSET:
            return self.below
        return inf if self.above is UNSET else self.above

    def beyond(self, value: float) -> bool:
        """Return whether a figure raises the alert."""
        return value < self.threshold if self.falling else value > self.threshold


class AlertPolicy(Struct, frozen=True, kw_only=True, gc=False):
    """What a model is watched by."""

    rules: tuple[AlertRule, ...]
    """At most 16, each name once. None: no alerts."""


class AlertPolicySet(Struct, frozen=True, kw_only=True, gc=False):
    """The model is watched by this policy from here on.

    Alerts whose rule went or changed are cleared by the next events of the same decision.
    """

    policy: AlertPolicy


class AlertRaised(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A figure was beyond its threshold for long enough."""

    rule: AlertRule
    value: float
    count: int = 0
    """Requests, answers, values, for `lag` and `standstill` partitions, for `silent-workers` workers, for
    `waiting-run` runs, or for `split-series` series that the figure is made of."""
    figures: dict[str, float] = {}
    """Further figures: errors by code, the share of each version, the distance of each input."""
    model_version: str | None = None
    """The active version at that time."""
    snoozed: bool = False
    """Somebody wanted to hear nothing of the rule at that time."""


class AlertCleared(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The alert is over."""

    rule_name: RuleName
    raised_sequence: int
    """Stream position of the event that raised it."""
    cause: AlertClearedCause
    value: float | None = None
    figures: dict[str, float] = {}
    snoozed: bool = False
    """Somebody wanted to hear nothing of the rule at that time."""
    keep_away_seconds: float = KEEP_AWAY_SECONDS
    """By hand: for how long it is not raised again, though its cause may hold."""


AlertEvent = AlertPolicySet | AlertRaised | AlertCleared

ALERT_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.alert.policy-set.v1": AlertPolicySet,
    "hotswap.alert.raised.v1": AlertRaised,
    "hotswap.alert.cleared.v1": AlertCleared,
}
