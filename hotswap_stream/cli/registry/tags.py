"""`tag` and `alias`: what people note on models and versions, and names that point at versions."""

from typing import Annotated

import typer

from hotswap_stream.cli.terminal.commanding import CommandToSend, Fields, sends_command
from hotswap_stream.cli.terminal.options import parse_pairs


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("tag")(tag)
    app.command("alias")(alias)


@sends_command
def tag(
    fields: Fields,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=TEXT]...", help="Tags to set.", show_default=False)
    ] = None,
    of_version: Annotated[
        str | None,
        typer.Option("--version", help="Of this version. Default: of the model itself.", show_default=False),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="A tag to remove; repeat for more.", show_default=False)
    ] = None,
) -> CommandToSend:
    """Set and remove tags of a model or a version; others stay. With a new name it begins a model without versions."""
    from hotswap_events.commands import TagModel

    pairs = parse_pairs(tags or [], option="KEY=TEXT")
    return TagModel(model_version=of_version, tags=pairs, removed=tuple(remove or ()), **fields)


@sends_command
def alias(
    fields: Fields,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The name.")],
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Where it is to point at.", show_default=False)
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let it point at none any more.")] = False,
) -> CommandToSend:
    """Let a name point at a version. It does nothing else: to put a version into production, promote it."""
    from hotswap_events.commands import SetAlias

    if (version is None) != remove:
        raise typer.BadParameter("give either VERSION or --remove", param_hint="VERSION")
    return SetAlias(alias=alias, model_version=version, **fields)
