"""Following a training run to its end, with a progress bar, from any machine."""

import asyncio
import time
from typing import TYPE_CHECKING

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.exit_codes import DONE, FAILED, TIMED_OUT
from hotswap_stream.cli.terminal.printing import print_json, refuse

if TYPE_CHECKING:
    from rich.progress import Progress

    from hotswap_events.training.progress import TrainingProgressed
    from hotswap_stream.application.training.view import TrainingRun
    from hotswap_stream.cli.planes.port import ControlPlane

LOOK_SECONDS = 0.5
FIGURES_SHOWN_MAX = 3
NAME_CHARACTERS_MAX = 40
OPEN = ("requested", "claimed", "running")
VERDICT_SECONDS_MAX = 60.0
"""A version has its verdict some time after the run gave it; one that cannot be measured has none."""


async def followed(
    plane: "ControlPlane", model: str, run_id: str, *, timeout: float | None, as_json: bool, tells: bool = True
) -> int:
    """Show a bar until the run ended, then what came of it (if it `tells`); return the exit code."""
    from hotswap_events.commands import Refusal

    deadline_s = None if timeout is None else time.monotonic() + timeout
    with _bar(shown=not as_json) as bar:
        task = bar.add_task(f"training {model}", total=None, figures="asked for")
        verdict_until_s: float | None = None
        while True:
            found = await plane.ask(questions.run(model, run_id))
            if isinstance(found, Refusal):
                bar.stop()
                raise refuse(found, as_json=as_json)
            again = await _next_attempt(plane, found)
            if again is not None:
                run_id = again
                continue
            progress = await plane.training_progress(found) if found.runner is not None else None
            _move(bar, task, found, progress)
            if found.status not in OPEN:
                if verdict_until_s is None:
                    verdict_until_s = time.monotonic() + VERDICT_SECONDS_MAX
                ended = progress is not None and progress.phase == "ended"
                if found.verdict or found.status != "succeeded" or ended or time.monotonic() > verdict_until_s:
                    break
            if deadline_s is not None and time.monotonic() > deadline_s:
                bar.stop()
                typer.secho(f"{timeout:g} s are over; it goes on", err=True, fg="yellow")
                return TIMED_OUT
            await asyncio.sleep(LOOK_SECONDS)
    if as_json and tells:
        print_json(found, named_by=("run_id",))
    elif tells:
        _print_end(found, progress)
    return DONE if found.status == "succeeded" and found.verdict != "failed" else FAILED


async def _next_attempt(plane: "ControlPlane", run: "TrainingRun") -> str | None:
    """Return the run that was asked for because this one failed, if any."""
    from hotswap_events.commands import Refusal

    if run.status != "failed" or not run.retries:
        return None
    first, _, number = run.run_id.rpartition("~")
    named = f"{first}~{int(number) + 1}" if first and number.isdigit() else f"{run.run_id}~2"
    found = await plane.ask(questions.run(run.model_name, named))
    return None if isinstance(found, Refusal) else named


def _bar(*, shown: bool) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("   {task.description}"),
        BarColumn(),
        # No markup: what stands there comes from a topic.
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
        transient=True,
    )


def _move(bar: "Progress", task: int, run: "TrainingRun", progress: "TrainingProgressed | None") -> None:
    from rich.progress import TaskID

    from hotswap_stream.application.descriptions.text import printable

    words: list[str] = [run.status if progress is None else progress.phase]
    if progress is not None:
        if progress.epoch is not None:
            words.append(f"epoch {progress.epoch}" + (f"/{progress.epochs}" if progress.epochs else ""))
        shown = list(progress.figures.items())[:FIGURES_SHOWN_MAX]
        words += [f"{printable(name)[:NAME_CHARACTERS_MAX]} {value:.4g}" for name, value in shown]
        bar.update(TaskID(task), total=progress.steps, completed=progress.step or 0)
    bar.update(TaskID(task), figures="  ".join(words))


def _print_end(run: "TrainingRun", progress: "TrainingProgressed | None") -> None:
    from hotswap_stream.application.descriptions.text import printable

    if run.status == "succeeded":
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in run.metrics.items())
        typer.echo(f"{run.model_version}: {run.verdict or 'not validated'}" + (f"; {metrics}" if metrics else ""))
        if run.verdict is None and progress is not None and progress.said is not None:
            typer.secho(printable(progress.said), fg="yellow", err=True)
        return
    told = printable(run.detail or "no reason was given")
    typer.secho(f"{run.run_id} {run.status}: {told}", fg="red", err=True)
