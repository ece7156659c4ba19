"""Commands on a model's alerts."""

from typing import Annotated

from msgspec import Meta, field

from hotswap_events.alerts import AlertClearedCause, AlertPolicy, RuleName
from hotswap_events.bounds import COUNT_MAX, INT64_MAX
from hotswap_events.command import Command, ModelVersion

StreamSequence = Annotated[int, Meta(ge=1, le=INT64_MAX)]


class SetAlertPolicy(Command, frozen=True, tag="hotswap.command.set-alert-policy.v1"):
    """Say what the model is watched by. Replaces the whole policy; clears alerts whose rule went or changed."""

    policy: AlertPolicy


class RaiseAlert(Command, frozen=True, tag="hotswap.command.raise-alert.v1"):
    """A rule's figure was above its threshold for long enough. Nothing happens where the alert is raised already."""

    rule_name: RuleName
    value: float
    above: float
    """The threshold it was compared with; refused where the rule has another one by now."""
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


AlertCommand = SetAlertPolicy | RaiseAlert | ClearAlert
