"""`stage`, `promote`, `switch`, `archive`, `rollback`, `reload`: what happens to versions."""

from typing import TYPE_CHECKING, Annotated

import typer

from hotswap_stream.cli.commanding import command_fields, send, settle
from hotswap_stream.cli.options import (
    Actor,
    AsJson,
    CommandId,
    ExpectedSequence,
    ModelArgument,
    Reason,
    VersionArgument,
)

if TYPE_CHECKING:
    from hotswap_events.commands import CommandResult
    from hotswap_stream.application.registry import Registry


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("stage")(stage)
    app.command("promote")(promote)
    app.command("switch")(switch)
    app.command("reload")(reload)
    app.command("rollback")(rollback)
    app.command("archive")(archive)


def stage(
    model: ModelArgument,
    version: VersionArgument,
    actor: Actor,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Put a version into staging: workers may load it ahead."""
    from hotswap_events.commands import StageVersion

    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )
    send(StageVersion(model_version=version, **fields), as_json=as_json)


def promote(
    model: ModelArgument,
    version: VersionArgument,
    actor: Actor,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Put a version that passed validation into production."""
    from hotswap_events.commands import PromoteVersion

    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )
    send(PromoteVersion(model_version=version, **fields), as_json=as_json)


def switch(
    model: ModelArgument,
    version: VersionArgument,
    actor: Actor,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Force a version into production, past validation."""
    from hotswap_events.commands import SwitchVersion

    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )
    send(SwitchVersion(model_version=version, **fields), as_json=as_json)


def archive(
    model: ModelArgument,
    version: VersionArgument,
    actor: Actor,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Take a version that is not active out of play."""
    from hotswap_events.commands import ArchiveVersion

    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )
    send(ArchiveVersion(model_version=version, **fields), as_json=as_json)


def rollback(
    model: ModelArgument,
    actor: Actor,
    emergency: Annotated[bool, typer.Option("--emergency", help="Say in the log that it was one.")] = False,
    from_version: Annotated[
        str | None, typer.Option("--from", help="Refuse unless this version is active.", show_default=False)
    ] = None,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Return to the version that was in production before."""
    from hotswap_events.commands import RollBack

    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )
    command = RollBack(cause="emergency" if emergency else "operator", from_version=from_version, **fields)
    send(command, as_json=as_json)


def reload(
    model: ModelArgument,
    actor: Actor,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Default: the newest that passed.", show_default=False)
    ] = None,
    reason: Reason = None,
    expected_sequence: ExpectedSequence = None,
    command_id: CommandId = None,
    as_json: AsJson = False,
) -> None:
    """Promote the newest version that passed validation, or the named one; nothing happens if it is active."""
    fields = command_fields(
        model, actor=actor, reason=reason, command_id=command_id, expected_sequence=expected_sequence
    )

    async def handling(registry: "Registry") -> "CommandResult":
        from hotswap_stream.application.reload import reload_model

        return await reload_model(registry, model_version=version, **fields)

    settle(handling, as_json=as_json)
