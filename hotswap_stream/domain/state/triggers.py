"""What starts training runs of one model, and what has started them, as its events left it."""

from collections.abc import Mapping

from msgspec import Struct

from hotswap_events.envelope import Timestamp
from hotswap_events.rollouts.strategy import MetricName
from hotswap_events.training.policy import TrainingPolicy
from hotswap_events.training.triggers import SuppressedCause, TriggerName

HISTORY_KEPT_MAX = 100
"""What fired and what was suppressed; the log has all of it."""


class FiredTrigger(Struct, frozen=True, gc=False):
    """A trigger that started a run."""

    trigger: TriggerName
    slot: str
    run_id: str
    figures: Mapping[str, float]
    detail: str | None
    at: Timestamp
    """By the writer's clock."""
    sequence: int
    actor: str
    reason: str | None


class SuppressedTrigger(Struct, frozen=True, gc=False):
    """A trigger that something kept from starting a run."""

    trigger: TriggerName
    slot: str
    cause: SuppressedCause
    detail: str
    figures: Mapping[str, float]
    at: Timestamp
    sequence: int


class QualityPeak(Struct, frozen=True, gc=False):
    """The best live quality that the active version reached for sure."""

    metric: MetricName
    value: float
    labels: int
    model_version: str
    production_sequence: int
    sequence: int


class TriggersState(Struct, frozen=True):
    """Replaced as a whole when an event changes it, so that states may share it."""

    policy: TrainingPolicy | None = None
    """None: nothing starts by itself."""
    policy_sequence: int = 0
    policy_at: Timestamp | None = None
    """Since when it holds, by the writer's clock."""
    last: Mapping[TriggerName, FiredTrigger] = {}
    """The last time of each."""
    counts: Mapping[TriggerName, int] = {}
    """How often each fired."""
    history: tuple[FiredTrigger | SuppressedTrigger, ...] = ()
    """Oldest first; the last 100."""
    fired_at: tuple[Timestamp, ...] = ()
    """When runs were started, oldest first; as many as a policy may count."""
    suppressed: frozenset[tuple[TriggerName, SuppressedCause]] = frozenset()
    """What was said since a trigger fired, or the policy changed."""
    peak: QualityPeak | None = None

    @property
    def last_fired(self) -> FiredTrigger | None:
        """The trigger that fired last."""
        return max(self.last.values(), key=lambda fired: fired.sequence, default=None)


NO_TRIGGERS = TriggersState()
"""The state of a model that saw none of this."""
