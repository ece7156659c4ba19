"""`status`: in ten seconds what serves, what is being rolled out, and whether it hurts."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.planes import questions
from hotswap_stream.cli.terminal.exit_codes import INTERRUPTED
from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import NO_MODELS, print_json, print_json_line, print_table, refuse, rounded
from hotswap_stream.cli.terminal.running import interactive, run_on_plane

if TYPE_CHECKING:
    from hotswap_stream.application.monitoring.overview import ModelLine, Overview
    from hotswap_stream.cli.planes.port import ControlPlane

LOOK_SECONDS = 2.0
_CLEAR = "\x1b[H\x1b[2J"
COLOURS = {"hurts": "red", "needs-you": "yellow", "moves": "cyan", "calm": "green"}
SHAPES = {"hurts": "▲", "needs-you": "?", "moves": "►", "calm": "·"}
"""State is a word and a shape, never a colour alone."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    model: Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Only this model.", show_default=False)] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every two seconds until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show all models: what hurts first, then what needs you, what moves, and what is calm; and what to do about it."""

    async def look(plane: "ControlPlane") -> "Overview":
        found = await overview_of(plane, model, as_json=as_json)
        if not watch:
            return found
        from hotswap_stream.cli.terminal.signals import stop_on_signals

        stop = stop_on_signals()
        while True:
            if as_json:
                print_json_line(found)
            else:
                if interactive():
                    typer.echo(_CLEAR, nl=False)
                _print(found, as_json=False)
            try:
                await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
            except TimeoutError:
                found = await overview_of(plane, model, as_json=as_json)
                continue
            raise typer.Exit(INTERRUPTED)

    # Printed when nobody is told any more what is waited for: that is on the same line.
    _print(run_on_plane(look, waiting_for=None if watch else "listening to the workers"), as_json=as_json)


async def overview_of(plane: "ControlPlane", model: str | None, *, as_json: bool) -> "Overview":
    """Return all models in one look, or one of them; a model that is unknown ends the command."""
    from hotswap_events.commands import Refusal
    from hotswap_stream.application.monitoring.overview import overview

    models, alerts = await plane.ask(questions.models()), await plane.ask(questions.alerts())
    if model is not None:
        state = await plane.ask(questions.model(model))
        if isinstance(state, Refusal):
            raise refuse(state, as_json=as_json)
    if isinstance(models, Refusal):
        raise refuse(models, as_json=as_json)
    if isinstance(alerts, Refusal):
        raise refuse(alerts, as_json=as_json)
    chosen = [each for each in models if model in (None, each.model_name)]
    reports = {}
    for each in chosen:
        report = await plane.ask(questions.rollout(each.model_name))
        if not isinstance(report, Refusal):
            reports[each.model_name] = report
    health = await plane.health()
    return overview(
        chosen, reports, alerts.alerts, None if health is None else {each.model_name: each for each in health}
    )


def _print(found: "Overview", *, as_json: bool) -> None:
    if as_json:
        print_json(found, listed="models")
        return
    if not found.models:
        typer.echo(NO_MODELS)
        return
    rate = "" if found.requests_per_second is None else f" · {rounded(found.requests_per_second):g} answers/s"
    typer.secho(
        f"{len(found.models)} models{rate} · {found.hurts} hurts · {found.needs_you} needs you · {found.moves} moves · "
        f"{found.calm} calm",
        bold=True,
    )
    print_table(
        ("", "model", "state", "serves", "req/s", "p95 ms", "errors", "workers"),
        (
            (
                SHAPES[line.condition],
                line.model_name,
                line.condition.replace("-", " "),
                _serves(line),
                rounded(line.requests_per_second),
                rounded(line.p95_ms),
                None if line.error_rate is None else f"{line.error_rate:.2%}",
                _workers(line),
            )
            for line in found.models
        ),
        optional=("workers", "p95 ms"),
    )
    for line in found.models:
        for reason in line.reasons:
            typer.secho(f"{SHAPES[line.condition]} {line.model_name}: {reason}", fg=COLOURS[line.condition])
        if line.try_next is not None:
            typer.echo(f"  try: {line.try_next}")
    if found.requests_per_second is None:
        typer.secho("rates, waits and errors are not known here", dim=True)


def _serves(line: "ModelLine") -> str:
    from hotswap_stream.application.descriptions.rollout import percent

    if len(line.arms) > 1:
        return ", ".join(f"{arm.model_version} {percent(arm.weight)}" for arm in line.arms)
    return line.arms[0].model_version if line.arms else line.active_version or "nothing"


def _workers(line: "ModelLine") -> str | None:
    if line.live_workers is None:
        return None
    silent = f", {line.silent_workers} silent" if line.silent_workers else ""
    return f"{line.live_workers}{silent}"
