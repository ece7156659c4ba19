"""`plugins`: the architectures and runtimes that this installation has of its user's own."""

from typing import TYPE_CHECKING

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.running import run

if TYPE_CHECKING:
    from hotswap_events.inference.fleet import FleetPlugin
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plugins")(plugins)


def plugins(as_json: AsJson = False) -> None:
    """Show the architectures and runtimes of installed packages and of HOTSWAP_PLUGIN_MODULES, each imported once."""

    async def main(settings: "Settings") -> "tuple[FleetPlugin, ...]":
        from hotswap_stream import bootstrap

        return await bootstrap.plugins_here(settings)

    found = run(main, needs_cluster=False)
    if as_json:
        print_json(found)
    elif not found:
        typer.echo("none is installed, and HOTSWAP_PLUGIN_MODULES names no module that brings one")
    else:
        print_table(
            ("kind", "name", "package", "version", "problem"),
            ((each.kind, each.name, each.package, each.version, each.error) for each in found),
        )
