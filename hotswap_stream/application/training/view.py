"""From the fold to what people and dashboards read of training runs."""

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.envelope import Timestamp
from hotswap_events.training.events import AfterTraining, ParameterValue, TrainingCause
from hotswap_stream.application.registry.queries import Streams, unknown_model
from hotswap_stream.domain.state.runs import RunState, RunStatus

RUNS_LISTED_MAX = 1_000


class TrainingRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run. Its events are in the log under the run's id, as `run_id`."""

    run_id: str
    model_name: str
    status: RunStatus
    """`requested`: no runner has it yet; `claimed`: one has; `running`: the trainer is at work."""
    detail: str | None = None
    """The cause, where the run failed; the reason, where it was cancelled."""
    trainer: str | None = None
    """Absent: it was started where it ran, and nobody asked for it in the log. So are the next six fields."""
    parameters: dict[str, ParameterValue] = {}
    datasets: tuple[str, ...] = ()
    after: AfterTraining | None = None
    cause: TrainingCause | None = None
    retries: int = 0
    seconds_max: int | None = None
    requested_by: str | None = None
    reason: str | None = None
    requested_at: Timestamp | None = None
    runner: str | None = None
    claimed_at: Timestamp | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    ended_by: str | None = None
    model_version: str | None = None
    """What came of it."""
    metrics: dict[str, float] = {}
    """Figures of the version."""
    verdict: str | None = None
    """The verdict of the version's validation."""


class TrainingRuns(Struct, frozen=True, kw_only=True):
    """Newest first, at most 1,000. Of runs that ended, a model remembers the last 200; the log has them all."""

    runs: tuple[TrainingRun, ...]
    total: int


def list_runs(
    streams: Streams, model_name: str | None = None, status: RunStatus | None = None
) -> TrainingRuns | Refusal:
    """Return the runs of a model, or of all, of this status."""
    if model_name is not None and model_name not in streams:
        return unknown_model(streams, model_name)
    found = [
        _told(streams, name, run)
        for name, stream in sorted(streams.items())
        if model_name in (None, name)
        for run in reversed(stream.state.runs.values())
        if status in (None, run.status)
    ]
    if model_name is None:
        found.sort(key=_began, reverse=True)
    return TrainingRuns(runs=tuple(found[:RUNS_LISTED_MAX]), total=len(found))


def find_run(streams: Streams, model_name: str, run_id: str) -> TrainingRun | Refusal:
    """Return one run."""
    stream = streams.get(model_name)
    if stream is None:
        return unknown_model(streams, model_name)
    run = stream.state.runs.get(run_id)
    if run is None:
        newest = tuple(reversed(stream.state.runs))[:20]
        return Refusal(
            code="unknown-run",
            reason=f"{model_name!r} has no training run {run_id[:128]!r} that is remembered; it has "
            f"{', '.join(newest) or 'none'}",
            legal=newest,
        )
    return _told(streams, model_name, run)


def _began(run: TrainingRun) -> float:
    time = run.requested_at or run.started_at or run.ended_at
    return 0.0 if time is None else time.timestamp()


def _told(streams: Streams, model_name: str, run: RunState) -> TrainingRun:
    request = run.request
    version = None if run.model_version is None else streams[model_name].state.versions.get(run.model_version)
    validation = None if version is None else version.validation
    return TrainingRun(
        run_id=run.run_id,
        model_name=model_name,
        status=run.status,
        detail=run.detail,
        trainer=None if request is None else request.trainer,
        parameters={} if request is None else request.parameters,
        datasets=() if request is None else request.datasets,
        after=None if request is None else request.after,
        cause=None if request is None else request.cause,
        retries=0 if request is None else request.retries,
        seconds_max=None if request is None else request.seconds_max,
        requested_by=run.requested_by,
        reason=run.requested_reason,
        requested_at=run.requested_at,
        runner=run.runner,
        claimed_at=run.claimed_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        ended_by=run.ended_by,
        model_version=run.model_version,
        metrics={} if version is None else version.metrics,
        verdict=None if validation is None else validation.verdict,
    )
