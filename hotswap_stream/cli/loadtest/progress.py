"""Progress of a load test on standard error: a bar for people, a line every five seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from hotswap_stream.client.load.drive import LoadPlan, LoadRun

LINE_SECONDS = 5.0


@contextmanager
def showing_progress(plan: "LoadPlan") -> "Iterator[Callable[[LoadRun], None]]":
    """Return a function that shows how far a run is."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("asking", total=1.0, figures="")
        yield lambda run: progress.update(task, completed=_share_done(run, plan), figures=figures(run))


class _Lines:
    def __init__(self) -> None:
        self._next_s = time.monotonic() + LINE_SECONDS

    def __call__(self, run: "LoadRun") -> None:
        if time.monotonic() >= self._next_s:
            self._next_s += LINE_SECONDS
            typer.echo(f"{time.perf_counter() - run.started_s:.0f} s: {figures(run)}", err=True)


def _share_done(run: "LoadRun", plan: "LoadPlan") -> float:
    shares = [0.0]
    if plan.seconds is not None:
        shares.append((time.perf_counter() - run.started_s) / plan.seconds)
    if plan.requests is not None:
        shares.append(run.tally.finished / plan.requests)
    return min(1.0, max(shares))


def figures(run: "LoadRun") -> str:
    """Return rate, requests in flight, latency and errors in one line."""
    tally, latency = run.tally, run.tally.latencies()
    seconds = max(time.perf_counter() - run.started_s, 1e-9)
    shown = [f"{tally.succeeded / seconds:,.0f} answers/s", f"{run.in_flight} in flight"]
    if latency is not None:
        shown.append(f"p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms")
    if tally.errors:
        shown.append(f"{tally.errors.total()} errors")
    return ", ".join(shown)
