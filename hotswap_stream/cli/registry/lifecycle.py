"""`stage`, `promote`, `switch`, `archive`, `rollback`, `reload`: what happens to versions."""

from typing import Annotated

import typer

from hotswap_stream.cli.terminal.commanding import CommandToSend, Fields, sends_command
from hotswap_stream.cli.terminal.options import AllowSignatureChange, VersionArgument


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("stage")(stage)
    app.command("promote")(promote)
    app.command("switch")(switch)
    app.command("reload")(reload)
    app.command("rollback")(rollback)
    app.command("archive")(archive)


@sends_command
def stage(fields: Fields, version: VersionArgument) -> CommandToSend:
    """Put a version into staging: workers may load it ahead."""
    from hotswap_events.commands import StageVersion

    return StageVersion(model_version=version, **fields)


@sends_command
def promote(
    fields: Fields, version: VersionArgument, allow_signature_change: AllowSignatureChange = False
) -> CommandToSend:
    """Put a version that passed validation into production."""
    from hotswap_events.commands import PromoteVersion

    return PromoteVersion(model_version=version, allow_signature_change=allow_signature_change, **fields)


@sends_command
def switch(
    fields: Fields, version: VersionArgument, allow_signature_change: AllowSignatureChange = False
) -> CommandToSend:
    """Force a version into production, past validation."""
    from hotswap_events.commands import SwitchVersion

    return SwitchVersion(model_version=version, allow_signature_change=allow_signature_change, **fields)


@sends_command
def archive(fields: Fields, version: VersionArgument) -> CommandToSend:
    """Archive a version that is not active: it takes no further part."""
    from hotswap_events.commands import ArchiveVersion

    return ArchiveVersion(model_version=version, **fields)


@sends_command
def rollback(
    fields: Fields,
    emergency: Annotated[bool, typer.Option("--emergency", help="Mark it in the log as an emergency.")] = False,
    from_version: Annotated[
        str | None, typer.Option("--from", help="Refuse unless this version is active.", show_default=False)
    ] = None,
) -> CommandToSend:
    """Return to the version that was in production before."""
    from hotswap_events.commands import RollBack

    return RollBack(cause="emergency" if emergency else "operator", from_version=from_version, **fields)


@sends_command
def reload(
    fields: Fields,
    version: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION]", help="The version. Default: the newest that passed.", show_default=False),
    ] = None,
) -> CommandToSend:
    """Promote the newest version that passed validation, or the named one; nothing happens if it is active."""
    return lambda plane: plane.reload(version, fields)
