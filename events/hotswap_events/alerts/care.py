"""What people say about alerts: that somebody knows, or that nobody wants to hear of it for a while.

Nothing else is decided by these events, so they are written as ignorable: releases that do not know them go on without
them. None of them ever contradicts a state.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from hotswap_events.alerts.events import RuleName

SNOOZE_SECONDS_MIN = 60.0
SNOOZE_SECONDS_MAX = 30 * 86_400.0

SnoozeSeconds = Annotated[float, Meta(ge=SNOOZE_SECONDS_MIN, le=SNOOZE_SECONDS_MAX)]


class AlertAcknowledged(Struct, frozen=True, kw_only=True, gc=False):
    """Somebody knows of the alert and cares for it; who and why are the event's actor and reason. It stays raised."""

    rule_name: RuleName
    raised_sequence: int
    """Stream position of the event that raised it."""


class AlertSnoozed(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Nobody is told of the rule's alerts from here on, until the snooze ends. They are raised and cleared as ever.

    Meanwhile events of the rule say `snoozed`, and webhooks pass over those.
    """

    rule_name: RuleName
    seconds: float
    """For how long, from the time of this event on."""
    raised_sequence: int | None = None
    """Stream position of the event that raised the alert that goes on; absent where none is raised."""


class AlertSnoozeEnded(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The snooze is over: who listens is told of the rule's alerts again."""

    rule_name: RuleName
    cause: Literal["over", "rule-gone", "operator"] = "over"
    raised_sequence: int | None = None
    """Stream position of the event that raised the alert that goes on still; absent where none is raised."""


AlertCareEvent = AlertAcknowledged | AlertSnoozed | AlertSnoozeEnded

ALERT_CARE_EVENT_TYPES: dict[str, type[Struct]] = {
    "hotswap.alert.acknowledged.v1": AlertAcknowledged,
    "hotswap.alert.snoozed.v1": AlertSnoozed,
    "hotswap.alert.snooze-ended.v1": AlertSnoozeEnded,
}
