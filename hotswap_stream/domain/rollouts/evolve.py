"""What the events of rollouts mean for the state, and what they forbid other events to do.

While a rollout is on, the baseline is active and no version in play leaves the game; whoever wants that ends the
rollout in the same decision. An event that does otherwise contradicts the state.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hotswap_events.envelope import Envelope
from hotswap_events.rollouts.events import (
    RolloutAnalysisRecorded,
    RolloutBakeEnded,
    RolloutCompleted,
    RolloutPaused,
    RolloutResumed,
    RolloutStarted,
    RolloutStepEntered,
    RolloutStrategyChanged,
    RolloutWeightsSet,
)
from hotswap_events.rollouts.strategy import WEIGHT_TOTAL, PauseStep, ProgressiveStrategy
from hotswap_stream.domain.deciding.contradiction import IllegalEventError, known_version
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.rollout import (
    ANALYSES_KEPT_MAX,
    ROLLOUTS_KEPT_MAX,
    AnalysisState,
    RolloutState,
    RolloutStatus,
    baseline_arms,
    versions_of,
    with_strategy,
)


def check_entering_production(state: ModelState, model_version: str) -> None:
    """Raise IllegalEventError if a rollout stands in the way of the version's promotion, or its artifact was deleted.

    A rollout that is on must have ended, or have ended with this promotion.
    """
    rollout = state.rollout
    if known_version(state, model_version).artifact_deleted:
        raise IllegalEventError(f"the artifact of {model_version!r} was deleted")
    if rollout is None:
        return
    is_its_promotion = rollout.status == "baking" and state.active_version == rollout.baseline_version
    if not is_its_promotion or model_version != rollout.promoted_version:
        raise IllegalEventError(f"rollout {rollout.rollout_id!r} is {rollout.status}; it must end first")


def check_leaving(state: ModelState, model_version: str) -> None:
    """Raise IllegalEventError if the version is in play in a rollout."""
    rollout = state.rollout
    if rollout is not None and model_version in versions_of(rollout):
        raise IllegalEventError(f"{model_version!r} is in rollout {rollout.rollout_id!r}; it must end first")


def _current(state: ModelState, rollout_id: str, *statuses: RolloutStatus) -> RolloutState:
    rollout = state.rollout
    if rollout is None or rollout.rollout_id != rollout_id:
        current = "none" if rollout is None else rollout.rollout_id
        raise IllegalEventError(f"the event is of rollout {rollout_id!r}, the current one is {current!r}")
    if rollout.status not in statuses:
        raise IllegalEventError(f"rollout {rollout_id!r} is {rollout.status}, not {' or '.join(statuses)}")
    return rollout


def _check_candidates(state: ModelState, baseline_version: str, candidates: tuple[str, ...]) -> None:
    if not candidates or len(set(candidates)) != len(candidates) or baseline_version in candidates:
        raise IllegalEventError(f"candidates {', '.join(candidates) or 'none'} against {baseline_version!r}")
    for name in candidates:
        version = known_version(state, name)
        if version.stage == "archived" or version.artifact_deleted:
            raise IllegalEventError(f"candidate {name!r} is out of play")


def _started(state: ModelState, data: RolloutStarted, event: Envelope) -> None:
    if state.rollout is not None:
        raise IllegalEventError(f"rollout {state.rollout.rollout_id!r} is {state.rollout.status}; it must end first")
    if data.rollout_id != f"r{state.rollouts_total + 1}":
        raise IllegalEventError(f"rollout {data.rollout_id!r} is not the next; r{state.rollouts_total + 1} is")
    if data.baseline_version != state.active_version:
        raise IllegalEventError(f"the rollout's baseline is {data.baseline_version!r}, not the active version")
    _check_candidates(state, data.baseline_version, data.candidates)
    state.rollouts_total += 1
    state.rollout = RolloutState(
        data.rollout_id,
        "running",
        data.strategy,
        data.policy,
        data.baseline_version,
        data.candidates,
        data.salt,
        baseline_arms(data.candidates, data.baseline_version),
        data.forced,
        event.time,
        event.sequence,
        event.time,
        asked_by=event.actor,
        asked_reason=event.reason,
    )


def _strategy_changed(state: ModelState, data: RolloutStrategyChanged, event: Envelope) -> None:
    rollout = _current(state, data.rollout_id, "running", "paused")
    _check_candidates(state, rollout.baseline_version, data.candidates)
    changed = with_strategy(rollout, data.strategy, data.candidates, data.policy, forced=data.forced)
    state.rollout = replace(
        changed,
        phase_started_at=event.time,
        phase_seconds_before=0.0,
        asked_by=event.actor,
        asked_reason=event.reason,
    )


def _weights_set(state: ModelState, data: RolloutWeightsSet, _event: Envelope) -> None:
    rollout = _current(state, data.rollout_id, "running", "paused")
    names = [arm.model_version for arm in data.arms]
    if names != [rollout.baseline_version, *rollout.candidates]:
        raise IllegalEventError(f"arms {', '.join(names)} are not the baseline and the candidates")
    if any(arm.weight < 0 for arm in data.arms) or sum(arm.weight for arm in data.arms) != WEIGHT_TOTAL:
        raise IllegalEventError(f"weights {[arm.weight for arm in data.arms]} do not sum to {WEIGHT_TOTAL}")
    state.rollout = replace(rollout, arms=data.arms)


def _step_entered(state: ModelState, data: RolloutStepEntered, event: Envelope) -> None:
    rollout = _current(state, data.rollout_id, "running", "paused")
    strategy = rollout.strategy
    if not isinstance(strategy, ProgressiveStrategy) or not 0 <= data.step_index <= len(strategy.steps):
        raise IllegalEventError(f"rollout {data.rollout_id!r} has no step {data.step_index}")
    state.rollout = replace(rollout, step_index=data.step_index, phase_started_at=event.time, phase_seconds_before=0.0)


def _paused(state: ModelState, data: RolloutPaused, event: Envelope) -> None:
    rollout = _current(state, data.rollout_id, "running")
    waited = 0.0
    if isinstance(rollout.step, PauseStep):
        waited = rollout.phase_seconds_before + (event.time - rollout.phase_started_at).total_seconds()
    state.rollout = replace(rollout, status="paused", pause_cause=data.cause, phase_seconds_before=waited)


def _resumed(state: ModelState, data: RolloutResumed, event: Envelope) -> None:
    rollout = _current(state, data.rollout_id, "paused")
    state.rollout = replace(rollout, status="running", pause_cause=None, phase_started_at=event.time)


def _analysis_recorded(state: ModelState, data: RolloutAnalysisRecorded, event: Envelope) -> None:
    rollout = _current(state, data.rollout_id, "running", "paused", "baking")
    if data.watermark <= rollout.watermark:
        raise IllegalEventError(f"watermark {data.watermark} is not above {rollout.watermark}")
    analysis = AnalysisState(
        data.outcome,
        data.watermark,
        data.step_index,
        data.evidence,
        data.model_version,
        event.sequence,
        event.time,
    )
    analyses = (*rollout.analyses, analysis)[-ANALYSES_KEPT_MAX:]
    state.rollout = replace(rollout, watermark=data.watermark, analyses=analyses)


def _completed(state: ModelState, data: RolloutCompleted, event: Envelope) -> None:
    rollout = _current(state, data.rollout_id, "running", "paused")
    if data.outcome == "promoted" and data.model_version not in rollout.candidates:
        raise IllegalEventError(f"{data.model_version!r} is no candidate of rollout {data.rollout_id!r}")
    promoted = data.model_version if data.outcome == "promoted" else None
    if promoted is not None and data.bake_seconds > 0:
        state.rollout = replace(
            rollout,
            status="baking",
            pause_cause=None,
            step_index=None,  # so that an outcome of the last step that comes late is not taken for one of the bake
            promoted_version=promoted,
            arms=baseline_arms(rollout.candidates, rollout.baseline_version),
            phase_started_at=event.time,
            phase_seconds_before=0.0,
        )
    else:
        _end(state, replace(rollout, promoted_version=promoted), data.outcome, event)


def _bake_ended(state: ModelState, data: RolloutBakeEnded, event: Envelope) -> None:
    rollout = _current(state, data.rollout_id, "baking")
    _end(state, rollout, "rolled-back" if data.outcome == "rolled-back" else "promoted", event)


def supersede_rollout(state: ModelState, event: Envelope) -> None:
    """End the rollout that is on, if there is one: the event puts a version in production, whatever is in its way."""
    if state.rollout is not None:
        _end(state, state.rollout, "superseded", event)


def _end(state: ModelState, rollout: RolloutState, status: RolloutStatus, event: Envelope) -> None:
    ended = replace(
        rollout,
        status=status,
        pause_cause=None,
        arms=baseline_arms(rollout.candidates, rollout.baseline_version),
        ended_at=event.time,
        ended_sequence=event.sequence,
        ended_by=event.actor,
        ended_reason=event.reason,
    )
    state.rollout = None
    state.rollout_history = (*state.rollout_history, ended)[-ROLLOUTS_KEPT_MAX:]


ROLLOUT_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    RolloutStarted: _started,
    RolloutStrategyChanged: _strategy_changed,
    RolloutWeightsSet: _weights_set,
    RolloutStepEntered: _step_entered,
    RolloutPaused: _paused,
    RolloutResumed: _resumed,
    RolloutAnalysisRecorded: _analysis_recorded,
    RolloutCompleted: _completed,
    RolloutBakeEnded: _bake_ended,
}
