"""Training runs beside each other: what was asked differently, and what came of it."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from hotswap_events.commands import Refusal
from hotswap_events.training.events import ParameterValue
from hotswap_events.training.progress import EpochFigures, TrainingProgressed
from hotswap_stream.application.plots.curves import RUNS_MAX, Line, curves_svg
from hotswap_stream.application.training.view import TrainingRun


class ComparedRun(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the runs."""

    run_id: str
    status: str
    trainer: str | None = None
    datasets: tuple[str, ...] = ()
    seconds: float | None = None
    """From its start to its end."""
    model_version: str | None = None
    verdict: str | None = None
    epochs: tuple[EpochFigures, ...] = ()
    """Where it has ended, the figures of up to 200 epochs."""


class Compared(Struct, frozen=True, kw_only=True):
    """One parameter or metric, with its value in each run, in their order; null where a run has none."""

    name: str
    values: tuple[ParameterValue, ...]
    differs: bool


class RunComparison(Struct, frozen=True, kw_only=True):
    """Runs of a model beside each other."""

    model_name: str
    runs: tuple[ComparedRun, ...]
    parameters: tuple[Compared, ...]
    """As they were asked for; what a trainer takes by default is not among them."""
    metrics: tuple[Compared, ...]
    """Figures of the versions that came of the runs; for a run without one, those of its last epoch."""
    same_datasets: bool


def wrong_comparison(run_ids: Sequence[str]) -> Refusal | None:
    """Return why these cannot be compared, or None."""
    if len(set(run_ids)) != len(run_ids) or not 2 <= len(run_ids) <= RUNS_MAX:
        return Refusal(code="invalid-value", reason=f"{len(set(run_ids))} runs are named; 2 to {RUNS_MAX} are compared")
    return None


def compared(
    model_name: str, runs: Sequence[TrainingRun], progress: Mapping[str, TrainingProgressed | None]
) -> RunComparison:
    """Return the runs beside each other, in the order in which they are given."""
    heard = [progress.get(run.run_id) for run in runs]
    epochs = [() if each is None else each.history for each in heard]
    last = [dict(each[-1].figures) if each else {} for each in epochs]
    metrics: list[Mapping[str, ParameterValue]] = [
        dict(run.metrics or figures) for run, figures in zip(runs, last, strict=True)
    ]
    return RunComparison(
        model_name=model_name,
        runs=tuple(
            ComparedRun(
                run_id=run.run_id,
                status=run.status,
                trainer=run.trainer,
                datasets=run.datasets,
                seconds=_seconds(run),
                model_version=run.model_version,
                verdict=run.verdict,
                epochs=tuple(history),
            )
            for run, history in zip(runs, epochs, strict=True)
        ),
        parameters=_beside([run.parameters for run in runs]),
        metrics=_beside(metrics),
        same_datasets=len({run.datasets for run in runs}) == 1,
    )


def comparison_svg(comparison: RunComparison) -> str:
    """Return the figures of the epochs of all runs as a picture."""
    lines = [
        Line(f"{run.run_id} ({run.trainer or 'no trainer'}, {run.status})", _epochs(run.epochs))
        for run in comparison.runs
    ]
    return curves_svg(f"{comparison.model_name}: training runs", lines)


def run_svg(run: TrainingRun, progress: TrainingProgressed | None) -> str:
    """Return the figures of the epochs of one run as a picture."""
    history = () if progress is None else progress.history
    line = Line(run.trainer or run.run_id, _epochs(history))
    return curves_svg(f"{run.model_name}: training run {run.run_id}", [line])


def _epochs(history: Sequence[EpochFigures]) -> list[tuple[int, Mapping[str, float]]]:
    return [(each.epoch, each.figures) for each in history]


def _seconds(run: TrainingRun) -> float | None:
    began = run.started_at or run.claimed_at
    if began is None or run.ended_at is None:
        return None
    return max(0.0, (run.ended_at - began).total_seconds())


def _beside(each: Sequence[Mapping[str, ParameterValue]]) -> tuple[Compared, ...]:
    names = dict.fromkeys(name for values in each for name in values)
    found = []
    for name in names:
        values = tuple(of.get(name) for of in each)
        # 1, 1.0 and true are three things.
        differs = len({(type(value), value) for value in values}) > 1
        found.append(Compared(name=name, values=values, differs=differs))
    return tuple(found)
