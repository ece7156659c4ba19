"""`profile` and `drift`: what a version's data looked like, and how far live data have moved away from it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hotswap_stream.cli.terminal.commanding import command_fields
from hotswap_stream.cli.terminal.drawing import PlotFile, draw
from hotswap_stream.cli.terminal.options import (
    Actor,
    AsJson,
    CommandId,
    ExpectedSequence,
    ModelArgument,
    Reason,
    VersionArgument,
    parse_as_of,
)
from hotswap_stream.cli.terminal.printing import print_facts, print_json, print_result, print_table, refuse
from hotswap_stream.cli.terminal.running import run, run_by_api_or

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult, Refusal
    from hotswap_stream.application.drift.report import DriftReport, Spread
    from hotswap_stream.cli.planes.http import ApiPlane
    from hotswap_stream.settings import Settings

LOOKED_BACK = timedelta(hours=1)

_VERDICTS = {
    "shift": ("the live data have shifted", "red"),
    "none": ("no shift is shown", "green"),
    "too-few": ("too few rows to tell", "yellow"),
    "no-profile": ("the version has no profile to compare with; `hotswap-stream profile` records one", "yellow"),
}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("profile")(profile)
    app.command("drift")(drift)


def profile(
    model: ModelArgument,
    version: VersionArgument,
    actor: Actor,
    data: Annotated[
        Path,
        typer.Option(
            help="The data it was made from: a file of `generate-data`, .safetensors with the inputs by their names, "
            "or .npy with the only input.",
            exists=True,
            dir_okay=False,
        ),
    ],
    source: Annotated[
        str | None, typer.Option(help="What to call the data. Default: the file's name.", show_default=False)
    ] = None,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Record what a version's training data looked like, so that a shift of the live data is seen.

    `train` does it by itself; this is for versions trained elsewhere. The version computes all rows once, for its
    scores.
    """
    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )

    async def main(settings: "Settings") -> "CommandResult | Refusal":
        from hotswap_events.commands import ProfileVersion, Refusal
        from hotswap_stream import bootstrap
        from hotswap_stream.application.registry.queries import find_version

        async with bootstrap.open_registry(settings) as registry:
            found = find_version(registry.fold.streams, model, version)
            if isinstance(found, Refusal):
                return found
            made = await bootstrap.data_profile(settings, found.artifact.digest, data, source or data.name)
            command = ProfileVersion(
                model_version=version, source=made.source, rows=made.rows, sketches=made.sketches, **fields
            )
            return await registry.handle(command)

    result = _answered(run(main), as_json)
    print_result(result, as_json=as_json)


def drift(
    model: ModelArgument,
    version: Annotated[
        str | None, typer.Option(help="The version. Default: the active one.", show_default=False)
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Begin of the live data (RFC 3339). Default: an hour before --to.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="End of the live data (RFC 3339). Default: now.", show_default=False),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Distance up to which a shift does not matter.", min=0.0, max=0.99)
    ] = 0.0,
    plot: PlotFile = None,
    as_json: AsJson = False,
) -> None:
    """Say whether live inputs or scores have moved away from the data that a version was made from."""
    begin, end = _time(since, "--from"), _time(until, "--to")
    if begin is None:
        begin = _hour_before(end or datetime.now(UTC))
    elif begin >= (end or datetime.now(UTC)):
        raise typer.BadParameter(f"{since} is not before {until or 'now'}", param_hint="--from")

    async def main(settings: "Settings") -> Any:
        from hotswap_stream import bootstrap
        from hotswap_stream.application.drift.report import drift_report

        async with bootstrap.open_registry(settings) as registry:
            return await drift_report(
                registry.fold.streams,
                model,
                bootstrap.recorded_history(settings),
                since=begin,
                until=end,
                model_version=version,
                tolerance=tolerance,
            )

    async def of_api(api: "ApiPlane") -> Any:
        from hotswap_stream.application.drift.report import DriftReport
        from hotswap_stream.client.http_calls import model_path

        query = {
            "model_version": version,
            "since": begin.isoformat(),
            "until": None if end is None else end.isoformat(),
            "tolerance": tolerance,
        }
        return await api.get(f"{model_path(model)}/drift", DriftReport, query)

    found: DriftReport = _answered(run_by_api_or(main, of_api, waiting_for="reading what was recorded"), as_json)
    if plot is not None:
        from hotswap_stream.application.drift.plot import drift_svg

        draw(drift_svg(found), plot)
    if as_json:
        print_json(found)
        return
    _print(found)
    if plot is not None:
        typer.echo(f"drawn into {plot}")


def _answered(found: Any, as_json: bool) -> Any:
    from hotswap_events.commands import Refusal

    if isinstance(found, Refusal):
        raise refuse(found, as_json=as_json)
    return found


def _time(text: str | None, option: str) -> datetime | None:
    when = None if text is None else parse_as_of(text)
    if isinstance(when, int):
        raise typer.BadParameter(f"{text} is no time; one such as 2026-01-31T12:00:00Z is needed", param_hint=option)
    return when


def _hour_before(end: datetime) -> datetime:
    try:
        return end.astimezone(UTC) - LOOKED_BACK
    except OverflowError:
        raise typer.BadParameter("it is too close to the end of all dates", param_hint="--to") from None


def _print(found: "DriftReport") -> None:
    end = "now" if found.until is None else found.until.isoformat(timespec="seconds")
    print_facts(
        {
            "version": f"{found.model_version} of {found.model_name}",
            "live": f"{found.rows:,} rows from {found.since.isoformat(timespec='seconds')} to {end}",
            "training": f"{found.profile_rows:,} rows of {found.profile_source}" if found.profile_source else None,
            "unreadable sketches": found.unreadable or None,
        }
    )
    print_table(
        ("of", "verdict", "distance", "explained", "rows live", "rows in training", "live 5 · 50 · 95 %", "training"),
        (
            (
                each.name,
                each.verdict,
                None if each.distance is None else f"{each.distance:.3f}",
                None if each.limit is None else f"{each.limit:.3f}",
                each.live_count,
                each.training_count,
                _shown(each.live),
                _shown(each.training),
            )
            for each in found.distributions
        ),
    )
    said, colour = _VERDICTS[found.verdict]
    typer.secho(said, fg=colour)


def _shown(spread: "Spread | None") -> str | None:
    return None if spread is None else f"{spread.p05:.3g} · {spread.p50:.3g} · {spread.p95:.3g}"
