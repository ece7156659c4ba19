"""What the events of triggers mean. Releases may go on without them, so none contradicts a state."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hotswap_events.envelope import Envelope
from hotswap_events.training.policy import RUNS_PER_DAY_MAX
from hotswap_events.training.triggers import (
    QualityPeaked,
    TrainingPolicySet,
    TrainingSuppressed,
    TrainingTriggered,
)
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.triggers import HISTORY_KEPT_MAX, FiredTrigger, QualityPeak, SuppressedTrigger


def _policy_set(state: ModelState, data: TrainingPolicySet, event: Envelope) -> None:
    state.triggers = replace(
        state.triggers,
        policy=data.policy,
        policy_sequence=event.sequence,
        policy_at=event.time,
        suppressed=frozenset(),
    )


def _triggered(state: ModelState, data: TrainingTriggered, event: Envelope) -> None:
    triggers = state.triggers
    fired = FiredTrigger(
        data.trigger,
        data.slot,
        data.run_id,
        data.figures,
        data.detail,
        event.time,
        event.sequence,
        event.actor,
        event.reason,
    )
    state.triggers = replace(
        triggers,
        last={**triggers.last, data.trigger: fired},
        counts={**triggers.counts, data.trigger: triggers.counts.get(data.trigger, 0) + 1},
        history=(*triggers.history, fired)[-HISTORY_KEPT_MAX:],
        fired_at=(*triggers.fired_at, event.time)[-RUNS_PER_DAY_MAX:],
        suppressed=frozenset(),
    )


def _suppressed(state: ModelState, data: TrainingSuppressed, event: Envelope) -> None:
    triggers = state.triggers
    kept = SuppressedTrigger(data.trigger, data.slot, data.cause, data.detail, data.figures, event.time, event.sequence)
    state.triggers = replace(
        triggers,
        history=(*triggers.history, kept)[-HISTORY_KEPT_MAX:],
        suppressed=triggers.suppressed | {(data.trigger, data.cause)},
    )


def _peaked(state: ModelState, data: QualityPeaked, event: Envelope) -> None:
    peak = QualityPeak(
        data.metric, data.value, data.labels, data.model_version, data.production_sequence, event.sequence
    )
    state.triggers = replace(state.triggers, peak=peak)


TRIGGER_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    TrainingPolicySet: _policy_set,
    TrainingTriggered: _triggered,
    TrainingSuppressed: _suppressed,
    QualityPeaked: _peaked,
}
