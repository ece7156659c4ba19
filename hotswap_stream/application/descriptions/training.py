"""Events of training runs in a few words for people."""

from collections.abc import Callable
from typing import Any

from hotswap_events.registry.events import TrainingFailed, TrainingStarted
from hotswap_events.training.events import (
    AfterTraining,
    AskedAgain,
    AskedAsRepeat,
    AskedByTrigger,
    TrainingCancelled,
    TrainingCause,
    TrainingClaimed,
    TrainingRequested,
)
from hotswap_stream.application.descriptions.text import shortened

FIGURES_TOLD_MAX = 3


def _requested(data: TrainingRequested, model: str) -> str:
    facts = [f"trainer {data.trainer}"]
    if data.datasets:
        facts.append(f"{len(data.datasets)} dataset{'s' if len(data.datasets) > 1 else ''}")
    facts += _cause(data.cause)
    if data.after != "nothing":
        facts.append(f"then {after_text(data.after)}")
    return f"requested training run {data.run_id} of {model} ({', '.join(facts)})"


def after_text(after: AfterTraining) -> str:
    """Return in a few words what becomes of a version that passes."""
    if isinstance(after, str):
        return after
    return f"a rollout by {type(after.strategy).__name__.removesuffix('Strategy').lower()}"


def _cause(cause: TrainingCause) -> list[str]:
    if isinstance(cause, AskedByTrigger):
        told = list(cause.figures.items())[:FIGURES_TOLD_MAX]
        figures = "".join(f" {shortened(name)} {value:.4g}" for name, value in told)
        return [f"trigger {shortened(cause.trigger)}{':' if figures else ''}{figures}"]
    if isinstance(cause, AskedAgain):
        return [f"attempt {cause.attempt} of {cause.run_id}"]
    return [f"as {cause.run_id} was"] if isinstance(cause, AskedAsRepeat) else []


def _claimed(data: TrainingClaimed, model: str) -> str:
    return f"claimed training run {data.run_id} of {model} for {data.runner}"


def _cancelled(data: TrainingCancelled, model: str) -> str:
    return f"cancelled training run {data.run_id} of {model}"


def _started(data: TrainingStarted, model: str) -> str:
    return f"started training run {data.run_id} of {model} ({data.architecture})"


def _failed(data: TrainingFailed, model: str) -> str:
    return f"ended training run {data.run_id} of {model}, which failed ({data.cause}: {shortened(data.detail)})"


TRAINING_DESCRIPTIONS: dict[type, Callable[[Any, str], str]] = {
    TrainingRequested: _requested,
    TrainingClaimed: _claimed,
    TrainingCancelled: _cancelled,
    TrainingStarted: _started,
    TrainingFailed: _failed,
}
