"""What the events of training runs mean.

Those of requests are such that a release may pass over them, so here none may contradict a state: what comes too late
has no effect.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hotswap_events.envelope import Envelope
from hotswap_events.registry.events import TrainingFailed, TrainingStarted
from hotswap_events.training.events import TrainingCancelled, TrainingClaimed, TrainingRequested
from hotswap_stream.domain.state.model import ModelState
from hotswap_stream.domain.state.runs import RUNS_ENDED_KEPT_MAX, RunState


def run_succeeded(state: ModelState, run_id: str | None, model_version: str, event: Envelope) -> None:
    """Note which version came of a run, if it is known here."""
    run = None if run_id is None else state.runs.get(run_id)
    if run is not None:
        _end(
            state,
            replace(
                run,
                status="succeeded",
                detail=None,
                model_version=model_version,
                ended_at=event.time,
                ended_by=event.actor,
            ),
        )


def _requested(state: ModelState, data: TrainingRequested, event: Envelope) -> None:
    if data.run_id not in state.runs:
        state.runs[data.run_id] = RunState(data.run_id, "requested", None, data, event.actor, event.reason, event.time)


def _claimed(state: ModelState, data: TrainingClaimed, event: Envelope) -> None:
    run = state.runs.get(data.run_id)
    if run is not None and run.status == "requested":
        state.runs[data.run_id] = replace(run, status="claimed", runner=data.runner, claimed_at=event.time)


def _started(state: ModelState, data: TrainingStarted, event: Envelope) -> None:
    run = state.runs.get(data.run_id) or RunState(data.run_id, "running")
    state.runs[data.run_id] = replace(run, status="running", detail=None, started_at=event.time)


def _failed(state: ModelState, data: TrainingFailed, event: Envelope) -> None:
    run = state.runs.get(data.run_id) or RunState(data.run_id, "failed")
    detail = f"{data.cause}: {data.detail}"
    _end(state, replace(run, status="failed", detail=detail, ended_at=event.time, ended_by=event.actor))


def _cancelled(state: ModelState, data: TrainingCancelled, event: Envelope) -> None:
    run = state.runs.get(data.run_id)
    if run is not None and run.is_open:
        _end(
            state,
            replace(run, status="cancelled", detail=event.reason, ended_at=event.time, ended_by=event.actor),
        )


def _end(state: ModelState, run: RunState) -> None:
    """Put in how a run ended, as the last of those that did, and forget the first where there are too many."""
    state.runs[run.run_id] = run
    ended = [known for known in state.runs.values() if not known.is_open]
    if len(ended) > RUNS_ENDED_KEPT_MAX:
        del state.runs[ended[0].run_id]
        state.runs_forgotten = {
            **state.runs_forgotten,
            ended[0].status: state.runs_forgotten.get(ended[0].status, 0) + 1,
        }


TRAINING_HANDLERS: dict[type, Callable[[ModelState, Any, Envelope], None]] = {
    TrainingRequested: _requested,
    TrainingClaimed: _claimed,
    TrainingCancelled: _cancelled,
    TrainingStarted: _started,
    TrainingFailed: _failed,
}
