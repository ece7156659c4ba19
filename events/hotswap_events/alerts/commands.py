"""Commands on a model's alerts."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from hotswap_events.alerts.care import SnoozeSeconds
from hotswap_events.alerts.events import KEEP_AWAY_SECONDS, AlertClearedCause, AlertPolicy, RuleName
from hotswap_events.bounds import COUNT_MAX, INT64_MAX
from hotswap_events.command import Command, ModelVersion

KEEP_AWAY_SECONDS_MAX = 3_600.0

KeepAwaySeconds = Annotated[float, Meta(ge=0, le=KEEP_AWAY_SECONDS_MAX)]
StreamSequence = Annotated[int, Meta(ge=1, le=INT64_MAX)]


class SetAlertPolicy(Command, frozen=True, tag="hotswap.command.set-alert-policy.v1"):
    """Say what the model is watched by. Replaces the whole policy; clears alerts whose rule went or changed."""

    policy: AlertPolicy


class RaiseAlert(Command, frozen=True, tag="hotswap.command.raise-alert.v1"):
    """A rule's figure was beyond its threshold for long enough. Nothing happens where the alert is raised already."""

    rule_name: RuleName
    value: float
    above: float | UnsetType = UNSET
    """The threshold it was compared with, as the rule has it; refused where the rule has another one by now."""
    below: float | UnsetType = UNSET
    """The same of a rule on a figure that falls."""
    count: Annotated[int, Meta(ge=0, le=COUNT_MAX)] = 0
    figures: dict[str, float] = field(default_factory=dict)
    model_version: ModelVersion | None = None


class ClearAlert(Command, frozen=True, tag="hotswap.command.clear-alert.v1"):
    """An alert is over: because its figure recovered, or by hand."""

    rule_name: RuleName
    cause: AlertClearedCause = "operator"
    value: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    raised_sequence: StreamSequence | None = None
    """Refuse unless the alert was raised there: what was measured must not clear a later one."""
    keep_away_seconds: KeepAwaySeconds = KEEP_AWAY_SECONDS
    """By hand: for how long the alert is not raised again though its cause holds. To be told of it and keep it, leave
    it and acknowledge it; to hear nothing of it for longer, snooze it."""


class AcknowledgeAlert(Command, frozen=True, tag="hotswap.command.acknowledge-alert.v1"):
    """Say that somebody knows of a raised alert and cares for it: the command's actor, with its reason."""

    rule_name: RuleName
    raised_sequence: StreamSequence | None = None
    """Refuse unless the alert was raised there."""


class SnoozeAlert(Command, frozen=True, tag="hotswap.command.snooze-alert.v1"):
    """Have nobody told of a rule's alerts for a while, raised or not. They are raised, cleared and listed as ever."""

    rule_name: RuleName
    seconds: SnoozeSeconds
    """From now on; a snooze that is on is replaced."""


class EndAlertSnooze(Command, frozen=True, tag="hotswap.command.end-alert-snooze.v1"):
    """End a snooze: because its time is over, or by hand."""

    rule_name: RuleName
    cause: Literal["over", "rule-gone", "operator"] = "operator"
    snoozed_sequence: StreamSequence | None = None
    """Refuse unless the snooze is of this sequence."""


AlertCommand = SetAlertPolicy | RaiseAlert | ClearAlert | AcknowledgeAlert | SnoozeAlert | EndAlertSnooze
