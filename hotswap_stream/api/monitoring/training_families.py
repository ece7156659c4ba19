"""Training runs as metrics."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from hotswap_stream.application.registry.fold import Stream
from hotswap_stream.application.trainers.progress import ProgressFold
from hotswap_stream.domain.state.runs import RunState
from hotswap_stream.observability import training_metrics as catalogue
from hotswap_stream.observability.metric_spec import Family, MetricSpec, Sample


def training_families(streams: Sequence[Stream], progress: ProgressFold | None, now: datetime) -> Iterator[Family]:
    """Yield what the log, and what is heard of runners, says of training runs.

    Args:
        streams: Those of all models.
        progress: What runners say of their runs; None: not known.
        now: The time that runs which are not over have taken up to.
    """
    yield Family(catalogue.TRAINING_RUNS, _by_status(streams))
    models = [(each.state.model_name, tuple(each.state.runs.values())) for each in streams if each.state.runs]
    waiting = [(name, _oldest(runs, "requested")) for name, runs in models]
    yield _ages(
        catalogue.TRAINING_WAITING, [(name, None if run is None else run.requested_at) for name, run in waiting], now
    )
    going = [(name, _oldest(runs, "running") or _oldest(runs, "claimed")) for name, runs in models]
    yield _ages(
        catalogue.TRAINING_RUNNING,
        [(name, None if run is None else run.started_at or run.claimed_at) for name, run in going],
        now,
    )
    yield Family(catalogue.TRAINING_PROGRESS, [] if progress is None else _progress(going, progress))
    ended = [(name, max(succeeded, key=_ended_s)) for name, runs in models if (succeeded := _succeeded(runs))]
    lasted, at = catalogue.TRAINING_LAST_DURATION.labelled, catalogue.TRAINING_LAST_SUCCESS.labelled
    yield Family(
        catalogue.TRAINING_LAST_DURATION,
        [(lasted(name), max(0.0, _ended_s(run) - run.started_at.timestamp())) for name, run in ended if run.started_at],
    )
    yield Family(catalogue.TRAINING_LAST_SUCCESS, [(at(name), _ended_s(run)) for name, run in ended])


def _by_status(streams: Sequence[Stream]) -> Iterator[Sample]:
    labelled = catalogue.TRAINING_RUNS.labelled
    for stream in streams:
        counts = Counter(run.status for run in stream.state.runs.values()) + Counter(stream.state.runs_forgotten)
        for status, count in counts.items():
            yield labelled(stream.state.model_name, status), count


def _oldest(runs: Sequence[RunState], status: str) -> RunState | None:
    """Return the run of this status that came first into the log."""
    return next((run for run in runs if run.status == status), None)


def _ages(spec: MetricSpec, since: Sequence[tuple[str, datetime | None]], now: datetime) -> Family:
    return Family(
        spec,
        [(spec.labelled(name), max(0.0, (now - begun).total_seconds())) for name, begun in since if begun is not None],
    )


def _progress(going: Sequence[tuple[str, RunState | None]], progress: ProgressFold) -> Iterator[Sample]:
    for name, run in going:
        said = None if run is None else progress.of(run.run_id, name, run.runner)
        if said is not None and said.step is not None and said.steps:
            yield catalogue.TRAINING_PROGRESS.labelled(name), min(1.0, said.step / said.steps)


def _succeeded(runs: Sequence[RunState]) -> list[RunState]:
    return [run for run in runs if run.status == "succeeded" and run.ended_at is not None]


def _ended_s(run: RunState) -> float:
    return 0.0 if run.ended_at is None else run.ended_at.timestamp()
