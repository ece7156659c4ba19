"""A file or a stored artifact registered by an API alone: uploaded in pieces, tried there, registered by its digest."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hotswap_events.commands import CommandResult, Refusal
from hotswap_stream.client.errors import RefusedError
from hotswap_stream.client.http_calls import model_path

if TYPE_CHECKING:
    from hotswap_stream.application.artifacts.trial import ModelOptions
    from hotswap_stream.cli.planes.http import ApiPlane

NOT_TAKEN = (413, 422)
TRIED_SECONDS_MAX = 600.0
"""How long an API may try a stored artifact before it is registered."""


async def uploaded(
    api: "ApiPlane", file: Path, beside: Mapping[str, Path], options: "ModelOptions | None" = None
) -> str | Refusal:
    """Upload a file and have it tried; return its digest, or why it is not taken. Warnings are printed."""
    from hotswap_stream.application.artifacts.trial import ModelOptions
    from hotswap_stream.client.publishing.http_target import HttpTarget
    from hotswap_stream.client.publishing.progress_bar import showing_progress

    try:
        async with api.uploads() as client:
            with showing_progress(True) as progress:
                stored = await HttpTarget(client).store_model(file, beside, options or ModelOptions(), progress)
    except RefusedError as error:
        if error.status not in NOT_TAKEN:
            raise
        return Refusal(code="invalid-value", reason=f"{error.code}: {error.reason}")
    for warning in stored.warnings:
        typer.secho(f"warning: {warning}", err=True, fg="yellow")
    return stored.artifact_digest


async def registered(
    api: "ApiPlane", digest: str | Refusal, body: dict[str, Any], fields: dict[str, Any]
) -> CommandResult:
    """Register what is stored under a digest, or return the refusal that stands in its place."""
    if isinstance(digest, Refusal):
        return CommandResult(
            command_id=fields["command_id"], status="refused", model_name=fields["model_name"], refusal=digest
        )
    return await api.order(
        f"{model_path(fields['model_name'])}/versions",
        {"artifact_digest": digest, **body},
        fields,
        seconds_max=TRIED_SECONDS_MAX,
    )
