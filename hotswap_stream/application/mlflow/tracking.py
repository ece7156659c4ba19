"""A training run as MLflow's tracking API takes it."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from msgspec import Struct

from hotswap_events.training.progress import TrainingProgressed
from hotswap_stream.application.training.view import TrainingRun

RUN_TAG = "hotswap.run_id"
"""By which a run that was exported is known again."""
PARAM_CHARACTERS_MAX = 6_000
TAG_CHARACTERS_MAX = 5_000
STATUSES: dict[str, Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]] = {
    "succeeded": "FINISHED",
    "failed": "FAILED",
    "cancelled": "KILLED",
}


class TrackedMetric(Struct, frozen=True, kw_only=True):
    """One figure of one epoch, or of the version."""

    key: str
    value: float
    timestamp: int
    step: int


class TrackedRun(Struct, frozen=True, kw_only=True):
    """All that is told of one run. Times are in milliseconds since 1970."""

    run_id: str
    name: str
    status: Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
    start_time: int
    end_time: int | None
    params: dict[str, str]
    tags: dict[str, str]
    metrics: tuple[TrackedMetric, ...]


def tracked_run(run: TrainingRun, progress: TrainingProgressed | None) -> TrackedRun:
    """Return what is told of a run: its parameters, the figures of its epochs and of its version, its origin."""
    began = run.started_at or run.claimed_at or run.requested_at or run.ended_at
    start = 0 if began is None else _ms(began)
    end = None if run.ended_at is None else _ms(run.ended_at)
    tags = {
        RUN_TAG: run.run_id,
        "hotswap.model": run.model_name,
        "hotswap.status": run.status,
        "hotswap.trainer": run.trainer,
        "hotswap.datasets": ", ".join(run.datasets) or None,
        "hotswap.model_version": run.model_version,
        "hotswap.verdict": run.verdict,
        "hotswap.detail": run.detail,
        "mlflow.user": run.requested_by,
    }
    return TrackedRun(
        run_id=run.run_id,
        name=f"{run.model_name}/{run.run_id}",
        status=STATUSES.get(run.status, "RUNNING"),
        start_time=start,
        end_time=end,
        params={_key(name): str(value)[:PARAM_CHARACTERS_MAX] for name, value in run.parameters.items()},
        tags={name: value[:TAG_CHARACTERS_MAX] for name, value in tags.items() if value},
        metrics=tuple(_metrics(run, progress, start if end is None else end)),
    )


def _metrics(run: TrainingRun, progress: TrainingProgressed | None, at: int) -> Iterator[TrackedMetric]:
    history = () if progress is None else progress.history
    for each in history:
        for name, value in each.figures.items():
            yield TrackedMetric(key=_key(name), value=value, timestamp=at, step=each.epoch)
    last = history[-1].epoch if history else 0
    for name, value in run.metrics.items():
        if math.isfinite(value):
            yield TrackedMetric(key=f"version.{_key(name)}", value=value, timestamp=at, step=last)


def _key(name: str) -> str:
    """Return a name that MLflow takes: letters, digits and `_-. /:`, 250 at most."""
    clean = "".join(each if each.isascii() and (each.isalnum() or each in "_-. :") else "_" for each in name)
    return clean.strip()[:200] or "_"


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
