"""`artifacts`: which environments need which part of the artifact store."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.terminal.options import AsJson
from hotswap_stream.cli.terminal.printing import print_json, print_table
from hotswap_stream.cli.terminal.running import fail, run

if TYPE_CHECKING:
    from hotswap_stream.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Which environment needs what in the artifact store.", no_args_is_help=True)
    group.command("environments")(environments)
    group.command("forget")(forget)
    app.add_typer(group, name="artifacts")


def environments(as_json: AsJson = False) -> None:
    """List the environments that have marked artifacts as needed, and the number of their artifacts."""

    async def main(settings: "Settings") -> dict[str, int]:
        from hotswap_stream import bootstrap

        return await bootstrap.artifact_store(settings).references.environments()

    found = dict(sorted(run(main).items()))
    if as_json:
        print_json(found)
    else:
        print_table(("environment", "artifacts"), found.items())


def forget(
    name: Annotated[str, typer.Argument(metavar="ENVIRONMENT", help="As `artifacts environments` lists it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove the marks of an environment that is gone for good, so that others may delete what only it needed."""

    async def here(settings: "Settings") -> tuple[str, ...]:
        from hotswap_stream import bootstrap
        from hotswap_stream.errors import ConfigurationError

        try:
            return await bootstrap.environments_here(settings)
        except ConfigurationError:  # no Kafka is told of, so no environment is here
            return ()

    if name in run(here):
        fail(f"{name} is this environment, and it is there; `hotswap-stream reset` deletes it")
    if not yes and not typer.confirm(
        f"Is {name} gone for good? What only it needs can be deleted from then on", err=as_json
    ):
        typer.echo("nothing was forgotten")
        raise typer.Exit(1)

    async def main(settings: "Settings") -> int:
        from hotswap_stream import bootstrap

        return await bootstrap.artifact_store(settings).references.forget(name)

    released = run(main)
    if as_json:
        print_json({"name": name, "artifacts_released": released})
    else:
        typer.echo(f"{name} had marked {released} artifacts")
