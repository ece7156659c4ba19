"""`doctor`: look a deployment over, and say what to do."""

from typing import TYPE_CHECKING

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json
from hotswap_stream.cli.terminal.running import FAILED, run

if TYPE_CHECKING:
    from hotswap_stream.application.monitoring.findings import Finding
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(as_json: AsJson = False) -> None:
    """Look a deployment over: settings of topics that lose data, clocks, disk, rights, workers and their releases.

    Nothing is changed. The exit code is 1 if something must be done.
    """

    async def main(settings: "Settings") -> "list[Finding]":
        from hotswap_stream import bootstrap

        return await bootstrap.examine(settings)

    found = run(main)
    if as_json:
        print_json(found)
    else:
        for each in found:
            typer.secho(f"{each.weight}: {each.about}: {each.found}", fg="red" if each.weight == "must" else "yellow")
            typer.echo(f"  {each.do}")
        if not found:
            typer.echo("nothing to do")
    if any(each.weight == "must" for each in found):
        raise typer.Exit(FAILED)
